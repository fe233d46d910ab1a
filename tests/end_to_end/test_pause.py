"""A command that was accepted is obeyed, however many come at once; what the engine answers is true."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from driving import PATIENCE, Engine, tiny

from engine.contract.store.run_directory import RunDirectory

LONG = tiny(dataset={"limit": None}, training={"epochs": 3, "batch_size": 8})


def started(workspace: Path, *, paused: bool) -> tuple[Engine, RunDirectory]:
    engine = Engine(workspace)
    engine.train(LONG)
    run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
    engine.wait_for_phase("training")
    if paused:
        engine.send("pause", id="first")
        engine.wait_for_phase("paused")
    return engine, run


def send_at_once(engine: Engine, run: RunDirectory, via: str, commands: list[str]) -> list[dict[str, Any]]:
    """All commands in one write; their answers in order."""
    name = engine.of("hello")[0]["engine"]
    lines = [
        json.dumps({"command": command, "id": f"{number}", "engine": name, "by": "test"})
        for number, command in enumerate(commands)
    ]
    if via == "stdin":
        engine.write("\n".join(lines))
    else:
        with run.control.path.open("a") as file:
            file.write("\n".join(lines) + "\n")
    return [engine.answer(f"{number}") for number in range(len(commands))]


def phase_settles(engine: Engine, run: RunDirectory, phase: str) -> None:
    """The newest phase stays what it is while the engine has time for many batches, as its heartbeats show."""
    deadline = time.monotonic() + PATIENCE
    beats, seen = 0, 0.0
    while beats < 3:
        assert time.monotonic() < deadline
        status = json.loads(run.status.path.read_text())
        if status["updated"] != seen:
            seen, beats = status["updated"], beats + 1 if status["phase"] == phase else 0
        time.sleep(0.05)
    assert [event["phase"] for event in engine.of("phase.changed")][-1] == phase


@pytest.mark.parametrize("via", ["stdin", "control"])
@pytest.mark.parametrize(
    ("paused", "commands"),
    [
        (True, ["resume", "pause"]),
        (True, ["resume", "pause", "pause"]),
        (True, ["resume", "checkpoint", "pause"]),
        (True, ["pause", "resume", "pause"]),
        (False, ["pause", "resume", "pause"]),
        (False, ["pause", "pause"]),
        (False, ["pause", "checkpoint", "pause"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "paused" if value else "training",
)
@pytest.mark.everyday("training-pause-resume-pause-stdin", "paused-resume-pause-control")
@pytest.mark.usual(
    "training-pause-resume-pause-stdin",
    "paused-resume-pause-control",
    "paused-resume-checkpoint-pause-stdin",
    "training-pause-pause-control",
)
def test_a_pause_that_was_accepted_last_wins(paused: bool, commands: list[str], via: str, tmp_path: Path) -> None:
    engine, run = started(tmp_path, paused=paused)
    try:
        answers = send_at_once(engine, run, via, commands)
        assert [answer["event"] for answer in answers] == ["command.accepted"] * len(commands)
        phase_settles(engine, run, "paused")
    finally:
        engine.kill()


@pytest.mark.parametrize(
    ("paused", "commands"),
    [(True, ["resume", "pause", "resume"]), (False, ["pause", "resume"]), (True, ["resume"])],
)
@pytest.mark.everyday("True-commands0")
def test_a_resume_that_was_accepted_last_wins(paused: bool, commands: list[str], tmp_path: Path) -> None:
    engine, run = started(tmp_path, paused=paused)
    try:
        answers = send_at_once(engine, run, "control", commands)
        assert [answer["event"] for answer in answers] == ["command.accepted"] * len(commands)
        phase_settles(engine, run, "training")
    finally:
        engine.kill()


@pytest.mark.parametrize(("end", "code"), [("stop", 6), ("abort", 7)])
@pytest.mark.parametrize("paused", [True, False], ids=["paused", "training"])
def test_after_stop_or_abort_no_pause_is_promised(end: str, code: int, paused: bool, tmp_path: Path) -> None:
    engine, run = started(tmp_path, paused=paused)
    answers = send_at_once(engine, run, "stdin", ["resume", "pause", end, "pause", "resume", end])
    events = [answer["event"].removeprefix("command.") for answer in answers]
    assert events[:3] == ["accepted"] * 3
    assert events[3:5] == ["rejected"] * 2
    assert engine.wait_for_event("run.finished")["exit_code"] == code
    assert engine.end() == code


@pytest.mark.parametrize("via", ["stdin", "control"])
def test_every_command_of_a_burst_is_answered_and_run_finished_is_the_last_event(via: str, tmp_path: Path) -> None:
    """However early in it the run is ended: each has its answer, in the pipe and in the journal."""
    engine, run = started(tmp_path, paused=True)
    burst = ["abort", *["checkpoint", "pause", "stop"] * 40]
    answers = send_at_once(engine, run, via, burst)
    assert [answer["command"] for answer in answers] == burst
    assert engine.end() == 7
    assert engine.names()[-1] == "run.finished"
    journal = [json.loads(line) for line in run.journal.path.read_text().splitlines()]
    assert [event for event in engine.events if event["seq"] is not None] == journal


def test_a_pause_while_preparing_holds_before_the_first_batch(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.write(
        "\n".join(
            json.dumps(command)
            for command in (
                {"command": "start", "id": "s", "job": "train", "recipe": LONG},
                {"command": "pause", "id": "p"},
                {"command": "resume", "id": "r"},
                {"command": "pause", "id": "q"},
            )
        )
    )
    try:
        assert [engine.answer(id_)["event"] for id_ in "sprq"] == ["command.accepted"] * 4
        run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
        engine.wait_for_phase("paused")
        phase_settles(engine, run, "paused")
        assert not [event for event in engine.of("progress") if event.get("step")]
    finally:
        engine.kill()


BROKEN = """
import psutil
def broken(self, count=[0]):
    count[0] += 1
    raise (ValueError if count[0] % 2 else psutil.AccessDenied)(1)
psutil.Process.memory_info = broken
"""


@pytest.mark.slow
def test_an_exception_in_the_heartbeat_ends_neither_status_nor_remote_control(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(BROKEN)
    engine = Engine(tmp_path, environment={"PYTHONPATH": str(tmp_path / "broken")})
    engine.train(LONG)
    run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
    try:
        engine.wait_for(lambda e: e["event"] == "log" and "heartbeat" in e["message"])
        (answer,) = send_at_once(engine, run, "control", ["pause"])
        assert answer["event"] == "command.accepted"
        phase_settles(engine, run, "paused")
        assert len([event for event in engine.of("log") if "heartbeat" in event["message"]]) == 1, "said once"
    finally:
        engine.kill()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs sparse files and /proc")
@pytest.mark.parametrize(
    "junk", [b"junk\n", b"x", b'{"engine": "ENGINE", "command": "pause"\n'], ids=["lines", "one line", "near"]
)
@pytest.mark.usual("one line", "near")
def test_sixty_megabytes_of_junk_stop_neither_training_nor_command_reading(junk: bytes, tmp_path: Path) -> None:
    engine, run = started(tmp_path, paused=False)
    try:
        junk = junk.replace(b"ENGINE", engine.of("hello")[0]["engine"].encode())
        step = engine.wait_for(lambda e: e["event"] == "progress" and (e["step"] or 0) > 0)["done"]
        with run.control.path.open("ab") as file:
            file.write(junk * (60_000_000 // len(junk)) + b"\n")
        seen = len(engine.events)
        engine.wait_for(lambda e: e["event"] == "progress" and (e["step"] or 0) > 0 and e["done"] > step, after=seen)
        (answer,) = send_at_once(engine, run, "control", ["pause"])
        assert answer["event"] == "command.accepted"
        engine.wait_for_phase("paused")
        assert len([event for event in engine.of("log") if "control.jsonl" in event["message"]]) == 1
    finally:
        engine.kill()


@pytest.mark.slow
def test_a_pause_does_not_use_up_the_time_budget(tmp_path: Path) -> None:
    """A budget of six seconds, a pause of ten: the run still trains after it, and then ends by its budget."""
    engine = Engine(tmp_path)
    try:
        recipe = tiny(training={"epochs": 5000, "batch_size": 8, "patience": None}, runtime={"max_minutes": 0.1})
        engine.train(recipe)
        engine.wait_for_phase("training")
        engine.send("pause", id="p")
        paused = engine.wait_for_phase("paused")["time"]
        before = len(engine.events)
        engine.wait_for(lambda event: event["event"] == "resources" and event["time"] > paused + 10)
        engine.send("resume", id="r")
        engine.wait_for_event("epoch.finished", after=before)
        finished = engine.wait_for_event("run.finished")
        assert (finished["outcome"], engine.end()) == ("stopped", 6)
    finally:
        engine.kill()
