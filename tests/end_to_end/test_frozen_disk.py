"""A disk that does not respond is a sentence and an end, for whoever commands a run that lies there."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from driving import Engine, medtui, tiny
from hanging import hanging

from engine.contract.store.run_directory import RunDirectory

WITHIN = 15.0  # seconds
A_START = 10.0  # seconds that a loaded machine takes to start a command


@pytest.mark.parametrize(
    ("command", "how"),
    [("stop", "write"), ("pause", "write"), ("abort", "read")],
)
@pytest.mark.slow
@pytest.mark.usual("stop-write", "abort-read")
def test_a_command_to_a_run_on_a_frozen_disk_reports_it_and_ends(command: str, how: str, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.train(tiny(training={"epochs": 1000, "patience": None}))
    run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
    engine.wait_for_phase("training")
    try:
        environment = hanging(write=str(run.control)) if how == "write" else hanging(read=str(run.manifest))
        began = time.monotonic()
        done = medtui(command, "last", cwd=tmp_path, environment=environment)
        assert time.monotonic() - began < WITHIN + A_START
        assert done.returncode == 1, done.stderr
        assert done.stderr.count("\n") == 1 and "does not respond" in done.stderr
        assert done.stdout == ""
    finally:
        engine.kill()


@pytest.mark.slow
def test_kill_ends_an_engine_that_cannot_be_asked_because_the_disk_is_frozen(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.train(tiny(training={"epochs": 1000, "patience": None}))
    run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
    engine.wait_for_phase("training")
    try:
        done = medtui("kill", "last", cwd=tmp_path, environment=hanging(write=str(run.control)))
        assert "abort not requested: FAILED (the disk does not respond)" in done.stdout
        assert "process gone: done" in done.stdout, done.stdout
        assert engine.process.wait(A_START) != 0
    finally:
        engine.kill()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["runs", "show", "kill"])
@pytest.mark.usual("runs", "kill")
def test_runs_and_show_on_a_frozen_disk_report_it_and_end(command: str, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "outputs" / "20261121_run")
    run.root.mkdir(parents=True)
    run.manifest.path.write_text('{"started": "2026-11-21T20:26:40+00:00", "run": "20261121_run"}')
    run.status.path.write_text("{}")
    began = time.monotonic()
    arguments = (command,) if command == "runs" else (command, "20261121_run")
    done = medtui(*arguments, cwd=tmp_path, environment=hanging(read=str(run.status)))
    assert time.monotonic() - began < WITHIN + A_START
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.count("\n") == 1 and "does not respond" in done.stderr


def test_where_the_disk_answers_a_command_is_answered_as_usual(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.train(tiny(training={"epochs": 1000, "patience": None}))
    engine.wait_for_phase("training")
    try:
        done = medtui("pause", "last", "--json", cwd=tmp_path)
        assert done.returncode == 0 and json.loads(done.stdout)["answer"] == "accepted"
        refused = medtui("stop", "nobody", cwd=tmp_path)
        assert refused.returncode == 2 and "nobody" in refused.stderr
    finally:
        engine.kill()
