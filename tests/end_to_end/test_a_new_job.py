"""A job added as described in CONTRIBUTING, by a class and a function: `tests/doubles/counting`, in its engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import Engine

DOUBLES = Path(__file__).resolve().parents[1] / "doubles"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    path = os.pathsep.join([str(DOUBLES), str(DOUBLES.parents[1])])
    engine = Engine(tmp_path, environment={"PYTHONPATH": path}, module="counting.engine")
    yield engine
    engine.kill()


def test_an_engine_does_the_job_and_emits_its_events_and_its_result(engine: Engine) -> None:
    engine.send("start", id="s", job="count", up_to=3)
    finished = engine.wait_for_event("run.finished")
    assert engine.end() == 0
    assert (finished["outcome"], finished["error"], finished["run_dir"]) == ("completed", None, None)
    assert [event["message"] for event in engine.of("log")] == ["1", "2", "3"]
    assert [event["phase"] for event in engine.of("phase.changed")] == ["preparing", "training", "finished"]
    numbers = [event["seq"] for event in engine.events if event.get("seq") is not None]
    assert numbers == list(range(1, len(numbers) + 1))


def test_hello_and_the_refusal_of_an_unknown_job_name_it(engine: Engine) -> None:
    assert engine.wait_for_event("hello")["jobs"][-1] == "count"
    engine.send("start", id="s", job="guess")
    refused = engine.answer("s")
    assert (refused["event"], refused["command"]) == ("command.rejected", "start")
    assert refused["reason"].startswith("there is no job named 'guess'; known: train, ")
    assert refused["reason"].endswith(", count")


def test_the_fields_the_job_requires_are_requested_by_name(engine: Engine) -> None:
    engine.send("start", id="s", job="count")
    refused = engine.answer("s")
    assert (refused["event"], refused["reason"]) == ("command.rejected", "start.count.up_to: Field required")
    engine.send("start", id="t", job="count", up_to=1)  # the engine still waits for a job
    assert engine.wait_for_event("run.finished")["outcome"] == "completed"


@pytest.mark.parametrize(("command", "outcome", "exit_code"), [("stop", "stopped", 6), ("abort", "aborted", 7)])
def test_stop_and_abort_end_the_job(engine: Engine, command: str, outcome: str, exit_code: int) -> None:
    engine.send("start", id="s", job="count", up_to=2, patiently=True)
    engine.wait_for_event("log", message="2")
    engine.send(command, id="c")
    assert engine.answer("c")["event"] == "command.accepted"
    finished = engine.wait_for_event("run.finished")
    assert (finished["outcome"], finished["exit_code"]) == (outcome, exit_code)
    assert engine.end() == exit_code


def test_its_error_ends_the_job_by_name_and_exit_code(engine: Engine) -> None:
    engine.send("start", id="s", job="count", up_to=0)
    finished = engine.wait_for_event("run.finished")
    assert (finished["outcome"], finished["error"]["kind"]) == ("failed", "usage")
    assert finished["error"]["message"].startswith("Expected a number from 1")
    assert engine.end() == finished["exit_code"] == 2


def test_it_takes_no_workspace_that_it_does_not_need(engine: Engine, tmp_path: Path) -> None:
    engine.send("start", id="s", job="count", up_to=1)
    engine.wait_for_event("run.finished")
    assert engine.end() == 0
    assert list(tmp_path.iterdir()) == []
