"""Scheduler warnings: one request, however many processes receive it, a checkpoint, and exit code 7."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from driving import MEDTUI, PATIENCE, Engine, json_lines, tiny, yaml_of

from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.run_directory import RunDirectory, list_runs

LONG = tiny(training={"epochs": 2000, "batch_size": 8, "patience": None})
WARNINGS = [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU]


class Client:
    """`medtui run --json` as the leader of a process group, as a scheduler starts it."""

    def __init__(self, workspace: Path, *before: str, environment: dict[str, str] | None = None) -> None:
        (workspace / "long.yaml").write_text(yaml_of(LONG))
        command = [*before, *MEDTUI, "run", "long.yaml", "--workspace", ".", "--json"]
        self.process = subprocess.Popen(
            command,
            cwd=workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        self.events: list[dict[str, Any]] = []

    def wait_for(self, name: str, **fields: Any) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == name and fields.items() <= self.events[-1].items():
                return self.events[-1]
        raise AssertionError(f"no {name} among {[event['event'] for event in self.events]}")

    def end(self) -> tuple[int, dict[str, Any], str]:
        assert self.process.stdout is not None
        self.events += map(json.loads, self.process.stdout)  # communicate() knows nothing of lines read ahead
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, self.events[-1], errors


def requests(run: RunDirectory) -> list[tuple[str, str]]:
    events = json_lines(run.journal.path.read_text())
    return [(event["command"], event["by"]) for event in events if event["event"] == "command.accepted"]


def is_saved(run: RunDirectory) -> None:
    assert verified_digest(run.last)


@pytest.mark.parametrize("number", WARNINGS, ids=lambda number: number.name)
def test_a_warning_to_client_and_engine_several_times_is_one_orderly_end(tmp_path: Path, number: int) -> None:
    client = Client(tmp_path)
    engine = client.wait_for("hello")["pid"]
    client.wait_for("epoch.finished")
    for _ in range(3):
        os.killpg(client.process.pid, number)
        os.kill(engine, number)
    code, finished, errors = client.end()
    assert (code, finished["outcome"], finished["exit_code"]) == (7, "aborted", 7), errors
    (run,) = list_runs(tmp_path / "outputs")
    is_saved(run)
    names = {by for command, by in requests(run) if command in ("stop", "abort")}
    assert names == {signal.Signals(number).name} and not [one for one in requests(run) if one[0] == "stop"]
    assert signal.Signals(number).name in errors and "Ctrl-C" not in errors


@pytest.mark.parametrize("number", WARNINGS[1:], ids=lambda number: number.name)
def test_an_engine_alone_that_is_warned_saves_and_ends_with_7(tmp_path: Path, number: int) -> None:
    engine = Engine(tmp_path)
    try:
        engine.train(LONG)
        engine.wait_for_event("epoch.finished", epoch=1)
        os.kill(engine.process.pid, number)
        finished = engine.wait_for_event("run.finished")
        assert (finished["exit_code"], engine.end()) == (7, 7)
    finally:
        engine.kill()
    is_saved(RunDirectory(Path(finished["run_dir"])))


@pytest.mark.slow
def test_a_limit_of_cpu_time_ends_in_a_checkpoint(tmp_path: Path) -> None:
    """The kernel's SIGXCPU, as with `ulimit -St`: every second until the hard limit."""
    limit = "resource.setrlimit(resource.RLIMIT_CPU, (15, 60))"
    program = f"import os, resource, sys; {limit}; os.execv(sys.argv[1], sys.argv[1:])"
    client = Client(tmp_path, sys.executable, "-c", program)
    code, finished, errors = client.end()
    assert (code, finished["exit_code"]) == (7, 7), errors
    (run,) = list_runs(tmp_path / "outputs")
    is_saved(run)


@pytest.mark.slow
def test_a_time_limit_by_timeout_is_one_request_that_is_called_sigterm(tmp_path: Path) -> None:
    if (timeout := shutil.which("timeout")) is None:
        pytest.skip("needs `timeout`")
    client = Client(tmp_path, timeout, "40")
    started = client.wait_for("run.started")
    client.wait_for("epoch.finished")
    client.process.send_signal(signal.SIGTERM)  # as at its limit, it passes it on to its command and to the group
    client.process.wait(PATIENCE)
    client.end()
    run = RunDirectory(Path(started["run_dir"]))
    finished = json_lines(run.journal.path.read_text())
    assert [event["outcome"] for event in finished if event["event"] == "run.finished"] == ["aborted"]
    assert requests(run)[1:] == [("abort", "SIGTERM")], "after the start"
    is_saved(run)


def test_ctrl_c_to_the_process_group_is_one_stop_with_all_results(tmp_path: Path) -> None:
    client = Client(tmp_path)
    engine = client.wait_for("hello")["pid"]
    client.wait_for("epoch.finished")
    for _ in range(2):
        os.killpg(client.process.pid, signal.SIGINT)
    os.kill(engine, signal.SIGINT)
    code, finished, errors = client.end()
    assert (code, finished["outcome"]) == (6, "stopped"), errors
    assert (Path(finished["run_dir"]) / "reports/report.xlsx").is_file()


def test_grid_engines_signal_before_a_suspension_saves_and_the_one_before_the_end_ends(
    tmp_path: Path,
) -> None:
    quiet = {"SLURM_JOB_ID": "", "PBS_JOBID": "", "LSB_JOBID": "", "JOB_ID": "4711"}
    client = Client(tmp_path, environment=quiet)
    engine = client.wait_for("hello")["pid"]
    client.wait_for("epoch.finished")
    for pid in (client.process.pid, engine):
        os.kill(pid, signal.SIGUSR1)
    client.wait_for("command.accepted", command="checkpoint")
    seen = client.wait_for("epoch.finished")["epoch"]
    client.wait_for("epoch.finished", epoch=seen + 2)
    assert psutil.pid_exists(engine), "it goes on"
    for pid in (client.process.pid, engine):
        os.kill(pid, signal.SIGUSR2)
    code, finished, errors = client.end()
    assert (code, finished["exit_code"]) == (7, 7), errors
    is_saved(RunDirectory(Path(finished["run_dir"])))
