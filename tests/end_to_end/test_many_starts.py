"""The workspace is one engine's: many starts at once, a killed holder, waiting for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import MEDTUI, PATIENCE, Engine, json_lines, tiny, yaml_of

from medtui.sentences import CommandLine

LONG = tiny(training={"epochs": 2000, "batch_size": 8, "patience": None})
# an engine that says on standard error, at its end, whether torch was imported
ENGINE = (
    "import atexit, sys\n"
    "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
    "sys.argv[0] = 'engine'\n"
    "import runpy; runpy.run_module('engine', run_name='__main__', alter_sys=True)\n"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(yaml_of(tiny(training={"epochs": 1})))
    return tmp_path


@pytest.fixture
def holder(workspace: Path) -> Iterator[Engine]:
    engine = Engine(workspace)
    engine.train(LONG)
    engine.wait_for_event("run.started")
    yield engine
    engine.kill()


@pytest.mark.slow
@pytest.mark.parametrize("starts", [12, 50])
@pytest.mark.usual("12")
def test_of_many_starts_at_once_one_runs_and_the_others_are_refused_naming_it_and_leave_nothing(
    workspace: Path, starts: int
) -> None:
    start = json.dumps({"command": "start", "id": "s", "job": "train", "recipe": LONG}).encode() + b"\n"
    engines = [
        subprocess.Popen(
            [sys.executable, "-c", ENGINE, "--workspace", str(workspace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        for _ in range(starts)
    ]
    try:
        for engine in engines:  # each reads it when it is ready; stdin stays open
            assert engine.stdin is not None
            engine.stdin.write(start)
            engine.stdin.flush()
        refused = []
        running = []
        for engine in engines:
            assert engine.stdout is not None
            for line in engine.stdout:
                event = json.loads(line)
                if event["event"] == "run.started":
                    running.append((engine, event))
                    break
                if event["event"] == "run.finished":
                    refused.append((engine, event))
                    break
        ((winner, started),) = running
        assert len(refused) == starts - 1
        for engine, event in refused:
            assert (event["exit_code"], event["error"]["kind"], event["run_dir"]) == (3, "locked", None)
            assert f"engine {winner.pid} " in event["error"]["message"]
            assert engine.wait(PATIENCE) == 3
            assert engine.stderr is not None
            assert engine.stderr.read().split()[-1] == b"False", "torch was imported for nothing"
        beside = {".medtui.lock", ".medtui.control.jsonl"}  # of the winner, which lives
        assert {path.name for path in (workspace / "outputs").iterdir()} == {*beside, started["run"]}
        winner.kill()
        winner.wait()
        again = Engine(workspace)
        again.train(LONG)
        assert again.wait_for_phase("preparing"), "after SIGKILL of the holder the next start works at once"
        again.kill()
    finally:
        for engine in engines:
            engine.kill()
            engine.wait()


def test_wait_shows_the_holder_and_starts_when_it_has_ended(workspace: Path, holder: Engine) -> None:
    waiting = [
        subprocess.Popen(
            [*MEDTUI, "run", "tiny.yaml", "--wait", "--json", "--workspace", str(workspace)],
            cwd=workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in waiting:
        assert process.stderr is not None
        assert f"held by engine {holder.process.pid} " in process.stderr.readline()
    holder.process.send_signal(signal.SIGKILL)
    for process in waiting:  # both, one after the other
        out, _ = process.communicate(timeout=PATIENCE)
        events = json_lines(out)
        assert (process.returncode, events[-1]["outcome"]) == (0, "completed")
        assert [event["event"] for event in events].count("hello") == 1, "an attempt that was too late is not told"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancelled_waiting_ends_like_the_refusal_without_wait(
    workspace: Path, holder: Engine, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [*MEDTUI, "run", "tiny.yaml", "--wait", "--json", "--workspace", str(workspace)],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None and "Waiting" in process.stderr.readline()
    process.send_signal(number)
    out, _ = process.communicate(timeout=PATIENCE)
    (finished,) = json_lines(out)
    assert (process.returncode, finished["event"], finished["outcome"]) == (3, "run.finished", "failed")
    assert (finished["exit_code"], finished["run_dir"], finished["error"]["kind"]) == (3, None, "locked")
    assert f"held by engine {holder.process.pid} " in finished["error"]["message"]
    assert finished["error"]["code"] == CommandLine.WAIT_INTERRUPTED.code
    assert holder.process.poll() is None
    os.kill(holder.process.pid, 0)
