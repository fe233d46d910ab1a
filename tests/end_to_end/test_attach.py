"""Detach, attach and command from any shell; an engine on another host."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from driving import MEDTUI, PATIENCE, Engine, json_lines, medtui, tiny, yaml_of

from engine.contract.machine.process_identity import start_of
from engine.contract.store.find_run import find_run
from engine.contract.store.run_directory import RunDirectory, make_run_directory
from engine.contract.store.status import read_status
from engine.contract.store.workspace import Workspace
from medtui.client.liveness import Heartbeat
from medtui.client.unseen import NotSeen
from medtui.plain.attach import follow_run
from medtui.plain.headless import JsonLines
from medtui.sentences import Control, Following

LONG = tiny(training={"epochs": 2000, "batch_size": 8, "patience": None})


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny()))
    (tmp_path / "long.yaml").write_text(yaml_of(LONG))
    yield tmp_path
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "engine" in words and str(tmp_path) in words:
            process.kill()


def outcome_of(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, json_lines(done.stdout)[-1]["outcome"]


def detached(workspace: Path, recipe: str = "long.yaml") -> RunDirectory:
    done = medtui("run", recipe, "--detach", "--workspace", workspace, cwd=workspace)
    assert done.returncode == 0, done.stderr
    run = find_run(workspace / "outputs", "last")
    assert str(run.root) in done.stdout and f"medtui attach {run.name}" in done.stdout
    return run


def ordered(events: list[dict[str, Any]]) -> bool:
    """Every state event, from the first on, without a gap."""
    return [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_a_detached_run_is_attached_to_paused_resumed_and_stopped_from_any_shell(workspace: Path) -> None:
    run = detached(workspace)
    watching = subprocess.Popen([*MEDTUI, "attach", "--json"], cwd=workspace, stdout=subprocess.PIPE, text=True)
    place = ("--workspace", str(workspace))
    assert watching.stdout is not None
    lines: list[str] = []
    for command, phase in (("pause", "paused"), ("resume", "training")):
        answer = json.loads(medtui(command, run.name, "--json", *place, cwd=workspace).stdout)
        assert (answer["answer"], answer["elsewhere"]) == ("accepted", None)
        for line in watching.stdout:
            lines.append(line)
            if f'"phase":"{phase}"' in line and f'"command":"{command}"' in "".join(lines):
                break
    said = medtui("stop", "last", *place, cwd=workspace)
    assert said.returncode == 0 and said.stdout.startswith("stop accepted by run")
    events = json_lines("".join(lines) + watching.stdout.read())
    assert ordered(events)
    commands = [event["command"] for event in events if event["event"] == "command.accepted"]
    assert commands == ["start", "pause", "resume", "stop"]
    assert "paused" in [event.get("phase") for event in events]
    assert (watching.wait(PATIENCE), events[-1]["event"], events[-1]["outcome"]) == (6, "run.finished", "stopped")
    again = medtui("attach", run.name, "--json", *place, cwd=workspace)
    assert (again.returncode, json_lines(again.stdout)) == (6, events), "a finished run is replayed whole"
    plain = medtui("attach", cwd=workspace)
    assert plain.returncode == 6 and "stopped (exit code 6)" in plain.stdout and "epoch" in plain.stdout
    assert "\x1b" not in plain.stdout, "without a terminal: plain lines"
    assert "Client disconnected; the run continues." in plain.stdout
    assert "console" not in plain.stdout, "there was none"
    late = medtui("stop", run.name, *place, cwd=workspace)
    assert late.returncode == 2 and "is over: stopped" in late.stderr


def test_attach_ends_with_crashed_if_the_engine_dies(workspace: Path) -> None:
    run = detached(workspace)
    status = read_status(run)
    assert status is not None
    watching = subprocess.Popen([*MEDTUI, "attach", "--json"], cwd=workspace, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    lines = []
    for line in watching.stdout:
        lines.append(line)
        if '"kind":"best"' in line:  # last was saved before it
            break
    os.kill(status.pid, signal.SIGKILL)
    events = json_lines("".join(lines) + watching.stdout.read())
    assert (events[-1]["event"], events[-1]["outcome"], events[-1]["exit_code"]) == ("run.finished", "crashed", 7)
    assert ordered(events[:-1])
    assert watching.wait(PATIENCE) == 7
    refused = medtui("stop", run.name, "--json", cwd=workspace)
    assert refused.returncode == 2 and json.loads(refused.stdout)["error"]["code"] == Control.ENGINE_GONE.code


def test_a_run_outlives_whoever_attached_to_it(workspace: Path) -> None:
    run = detached(workspace)
    for number in (signal.SIGKILL, signal.SIGHUP, signal.SIGINT):
        watching = subprocess.Popen([*MEDTUI, "attach", "--json"], cwd=workspace, stdout=subprocess.PIPE, text=True)
        assert watching.stdout is not None and "hello" in watching.stdout.readline()
        watching.send_signal(number)
        watching.wait(PATIENCE)
    assert medtui("abort", run.name, cwd=workspace).returncode == 0
    done = medtui("attach", run.name, "--json", cwd=workspace)
    assert outcome_of(done) == (7, "aborted")


def test_attach_ends_when_its_output_is_closed(workspace: Path) -> None:
    detached(workspace)
    watching = subprocess.Popen([*MEDTUI, "attach", "--json"], cwd=workspace, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    watching.stdout.readline()
    watching.stdout.close()
    assert watching.wait(30) == 0


def test_a_status_that_names_another_process_gets_it_no_signal(workspace: Path) -> None:
    assert medtui("run", "tiny.yaml", cwd=workspace).returncode == 0
    run = find_run(workspace / "outputs", "last")
    bystander = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
    try:
        assert bystander.stdout is not None
        bystander.stdout.readline()
        status = read_status(run)
        assert status is not None
        forged = {"pid": bystander.pid, "started": start_of(bystander.pid), "outcome": None, "phase": "training"}
        run.status.path.write_text(status.model_copy(update=forged).model_dump_json())
        for more in ((), ("--now",)):
            done = medtui("kill", run.name, *more, cwd=workspace)
            assert "not an engine of this workspace" in done.stdout + done.stderr
            assert done.returncode == 2
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_an_unreadable_status_is_reported_and_not_waited_for(workspace: Path) -> None:
    run = make_run_directory(Workspace(workspace).make_outputs(), "20261122_cells_mini-cnn_1a2b3c")
    run.manifest.path.write_text('{"started": "2026-11-22T00:00:00+00:00"}')
    run.journal.path.touch()
    run.status.path.write_text("garbage")
    began = time.monotonic()
    with pytest.raises(NotSeen) as unseen:
        follow_run(run, JsonLines())
    assert unseen.value.code == Following.STATUS_UNREADABLE.code
    assert (unseen.value.fields["run"], unseen.value.fields["path"]) == (run.name, run.status)
    assert time.monotonic() - began < 5


def test_a_headless_run_stops_when_its_terminal_goes_away(workspace: Path) -> None:
    client = subprocess.Popen(
        [*MEDTUI, "run", "long.yaml", "--json"], cwd=workspace, stdout=subprocess.PIPE, start_new_session=True
    )
    assert client.stdout is not None
    next(line for line in client.stdout if b'"epoch.finished"' in line)
    client.send_signal(signal.SIGHUP)
    assert client.wait(PATIENCE) == -signal.SIGHUP
    done = medtui("attach", "last", "--json", cwd=workspace)
    assert outcome_of(done) == (6, "stopped")


def test_detach_and_a_recipe_that_stops_contradict_each_other(workspace: Path) -> None:
    done = medtui("run", "tiny.yaml", "--detach", "--set", "runtime.on_disconnect=stop", cwd=workspace)
    assert done.returncode == 2 and "on_disconnect" in done.stderr
    assert not list((workspace / "outputs").glob("2*"))


@pytest.mark.parametrize("how", [["--detach"], []])
def test_a_refused_start_says_why_on_standard_error(workspace: Path, how: list[str]) -> None:
    detached(workspace)
    done = medtui("run", "tiny.yaml", *how, cwd=workspace)
    assert done.returncode == 3 and done.stderr.startswith("medtui: ") and "is held by" in done.stderr
    assert "is held by" not in done.stdout


# ---- another host: simulated by a changed host in what the engine tells of itself -----------------------------------


@pytest.fixture
def far(workspace: Path) -> Iterator[tuple[Engine, RunDirectory]]:
    """An engine in a job on node7."""
    patched = workspace / "patched"
    patched.mkdir()
    (patched / "sitecustomize.py").write_text("import socket\nsocket.gethostname = lambda: 'node7'\n")
    root = Path(__file__).resolve().parents[2]
    engine = Engine(workspace, environment={"PYTHONPATH": f"{patched}{os.pathsep}{root}", "SLURM_JOB_ID": "4711"})
    engine.train(LONG)
    run = Path(engine.wait_for_event("run.started")["run_dir"])
    engine.wait_for_event("epoch.finished")
    yield engine, RunDirectory(run)
    engine.kill()


@pytest.mark.slow
def test_an_engine_on_another_host_is_commanded_by_file_and_never_signalled(
    workspace: Path, far: tuple[Engine, RunDirectory]
) -> None:
    engine, run = far
    assert json.loads(run.manifest.path.read_text())["scheduler"] == {"variable": "SLURM_JOB_ID", "job": "4711"}
    listed = json.loads(medtui("runs", "--json", cwd=workspace).stdout)
    assert re.fullmatch(r"last seen \d+ s ago", listed[-1]["state"]), "one look is no proof of life, and never of death"
    assert "last seen" in medtui("show", run.name, cwd=workspace).stdout
    paused = medtui("pause", run.name, cwd=workspace)
    assert paused.returncode == 0 and "scancel 4711" in paused.stderr and "node7" in paused.stderr
    engine.wait_for_phase("paused")
    killed = medtui("kill", run.name, "--now", cwd=workspace)
    assert killed.returncode == 0 and "not signalled" in killed.stderr
    finished = engine.wait_for_event("run.finished")
    assert (finished["outcome"], engine.end()) == ("aborted", 7), "it ended by itself, by the command in the file"


@pytest.mark.slow
def test_a_silent_engine_on_another_host_is_unseen_never_crashed(
    workspace: Path, far: tuple[Engine, RunDirectory], capsys: pytest.CaptureFixture[str]
) -> None:
    engine, run = far
    os.kill(engine.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(NotSeen) as unseen:
            follow_run(run, JsonLines(), Heartbeat(patience=2.0))
        assert unseen.value.code == Following.UNSEEN.code
        assert time.monotonic() - began >= 2.0
        events = json_lines(capsys.readouterr().out)
        assert ordered(events) and "run.finished" not in [event["event"] for event in events]
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)
    assert medtui("abort", run.name, cwd=workspace).returncode == 0
    assert follow_run(run, JsonLines()) == 7
    assert Workspace(workspace).lock_file.path.exists()
