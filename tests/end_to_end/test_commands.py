"""The table of commands and phases, against a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from driving import PATIENCE, Engine, tiny
from safetensors.torch import load_file

# Long enough that a command always arrives while it trains
LONG = tiny(training={"epochs": 500, "batch_size": 8, "patience": None})
# Long enough that a command arrives while it evaluates
SHORT = tiny(
    dataset={"name": "cells", "limit": 400}, training={"epochs": 1, "batch_size": 32}, evaluation={"tta": True}
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path)
    yield engine
    engine.kill()


def run_directory(engine: Engine) -> Path:
    return Path(engine.wait_for_event("run.started")["run_dir"])


def phases(engine: Engine) -> list[str]:
    return [event["phase"] for event in engine.of("phase.changed")]


def finish(engine: Engine) -> tuple[dict[str, Any], int]:
    finished = engine.wait_for_event("run.finished")
    return finished, engine.end()


def test_an_idle_engine_rejects_what_needs_a_run_and_ends_on_shutdown(engine: Engine) -> None:
    for command in ("pause", "resume", "stop", "abort", "checkpoint"):
        engine.send(command, id=command)
        assert engine.answer(command)["event"] == "command.rejected"
    engine.send("diagnose", id="facts")
    assert engine.wait_for_event("diagnosis", id="facts")["facts"]["python"]
    engine.send("shutdown", id="end")
    assert engine.answer("end")["event"] == "command.accepted"
    assert engine.end() == 0


def test_an_idle_engine_ends_when_its_stdin_closes(engine: Engine) -> None:
    engine.wait_for_event("hello")
    engine.hang_up()
    assert engine.end() == 0


def test_garbage_and_unknown_commands_are_rejected_with_a_reason_and_end_nothing(engine: Engine) -> None:
    for line in ("garbage", '{"command": "fly", "id": "x"}', "[1]", '{"command": "stop"}', "\x00\xff"):
        engine.write(line)
    engine.send("diagnose", id="alive")
    engine.answer("alive")
    rejected = engine.of("command.rejected")
    assert len(rejected) == 5
    assert all(event["reason"] for event in rejected)
    assert {event["id"] for event in rejected} == {"", "x"}


def test_a_lone_surrogate_in_a_command_does_not_stop_command_reading(engine: Engine) -> None:
    engine.write('{"command": "nope", "id": "\\ud800"}')
    engine.write("x" * 2_000_000)
    engine.send("diagnose", id="alive")
    assert engine.answer("alive")["event"] == "command.accepted"
    engine.send("shutdown", id="end")
    assert engine.end() == 0


def test_an_engine_does_one_job(engine: Engine) -> None:
    engine.train(LONG)
    engine.train(LONG)
    engine.wait_for(lambda e: e["event"] == "command.rejected" and e["command"] == "start" and "busy" in e["reason"])
    engine.wait_for_phase("training")
    engine.send("shutdown", id="too soon")
    assert engine.answer("too soon")["event"] == "command.rejected"
    engine.send("abort", id="a")
    assert finish(engine)[1] == 7


def test_pause_while_preparing_holds_before_the_first_batch(engine: Engine) -> None:
    engine.train(LONG)
    engine.send("pause", id="p")
    assert engine.answer("p")["event"] == "command.accepted"
    engine.wait_for_phase("paused")
    position = engine.wait_for_event("checkpoint.saved")["position"]
    assert position == {"epoch": 0, "step": 0}
    engine.send("resume", id="r")
    engine.wait_for_event("epoch.finished", epoch=1)
    engine.send("abort", id="a")
    assert finish(engine)[1] == 7


def test_pause_holds_at_a_batch_saves_a_checkpoint_and_keeps_the_lock(engine: Engine, tmp_path: Path) -> None:
    engine.train(LONG)
    engine.wait_for_event("epoch.finished", epoch=1)
    engine.send("pause", id="p")
    assert engine.answer("p")["event"] == "command.accepted"
    engine.wait_for_phase("paused")
    assert [event for event in engine.of("checkpoint.saved") if event["kind"] == "last"]
    held = len(engine.of("epoch.finished"))

    second = Engine(tmp_path)
    second.train(LONG)
    refused = second.wait_for_event("run.finished")
    assert (refused["exit_code"], refused["error"]["kind"]) == (3, "locked")
    assert second.end() == 3

    engine.send("pause", id="again")
    assert engine.answer("again")["event"] == "command.accepted"
    assert len(engine.of("epoch.finished")) == held
    mark = len(engine.events)
    engine.send("resume", id="r")
    engine.wait_for_event("epoch.finished", after=mark)
    engine.send("abort", id="a")
    assert finish(engine)[1] == 7


def test_stop_leaves_complete_artifacts_and_exit_code_6(engine: Engine) -> None:
    engine.train(LONG)
    run = run_directory(engine)
    engine.wait_for_event("epoch.finished", epoch=2)
    engine.send("stop", id="s")
    accepted = engine.answer("s")
    assert accepted["event"] == "command.accepted"
    assert accepted["expected"] > 0
    finished, code = finish(engine)
    assert (finished["outcome"], finished["exit_code"], code) == ("stopped", 6, 6)
    assert finished["metrics"]["test"]["auc"] is not None
    assert (run / "reports" / "report.xlsx").is_file()
    assert (run / "figures" / "curves.png").is_file()
    assert phases(engine)[-3:] == ["evaluating", "reporting", "finished"]


def test_stop_before_any_validation_saves_the_weights_that_it_tests_as_best(engine: Engine) -> None:
    """So that they can be evaluated, used and exported; no epoch is recorded as the best."""
    engine.train(tiny(dataset={"name": "cells", "limit": 128}, training={"epochs": 3, "batch_size": 2}))
    run = run_directory(engine)
    engine.wait_for(lambda e: e["event"] == "progress" and (e["step"] or 0) > 0)
    engine.send("stop", id="s")
    finished, code = finish(engine)
    assert (finished["outcome"], code) == ("stopped", 6)
    assert not engine.of("epoch.finished")
    assert [e["split"] for e in engine.of("evaluation.finished")] == ["val", "test"]
    assert finished["metrics"]["validation"]["auc"] is not None
    kinds = [event["kind"] for event in engine.of("checkpoint.saved")]
    assert kinds == ["last", "best"]
    assert any("saved as best and tested" in event["message"] for event in engine.of("log"))
    best, last = (load_file(run / "checkpoints" / f"{kind}.safetensors") for kind in ("best", "last"))
    assert best and all(torch.equal(tensor, last[f"model/{name}"]) for name, tensor in best.items())
    bundle = json.loads((run / "checkpoints" / "model.json").read_text())
    assert bundle["weights"]["file"] == "best.safetensors" and (bundle["calibration"] or bundle["uncalibrated"])


def test_stop_while_preparing_is_abort_and_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    engine.train(LONG)
    engine.send("stop", id="s")
    finished, code = finish(engine)
    assert (finished["outcome"], code, finished["run_dir"]) == ("aborted", 7, None)
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [".medtui.lock"]


def test_stop_while_paused_evaluates(engine: Engine) -> None:
    engine.train(LONG)
    engine.wait_for_event("epoch.finished", epoch=1)
    engine.send("pause", id="p")
    engine.wait_for_phase("paused")
    engine.send("stop", id="s")
    finished, code = finish(engine)
    assert (finished["outcome"], code) == ("stopped", 6)


def test_abort_saves_a_checkpoint_and_writes_no_report(engine: Engine) -> None:
    engine.train(LONG)
    run = run_directory(engine)
    engine.wait_for_event("epoch.finished", epoch=1)
    engine.send("abort", id="a")
    finished, code = finish(engine)
    assert (finished["outcome"], finished["exit_code"], code) == ("aborted", 7, 7)
    assert engine.of("checkpoint.saved")[-1]["position"]["epoch"] >= 1
    assert (run / "checkpoints" / "last.safetensors").is_file()
    assert not (run / "reports" / "report.xlsx").exists()


def test_while_evaluating_stop_has_no_effect_pause_is_rejected_and_abort_aborts(engine: Engine) -> None:
    engine.train(SHORT)
    engine.wait_for_phase("evaluating")
    engine.send("pause", id="p")
    engine.send("stop", id="s")
    engine.send("abort", id="a")
    assert engine.answer("p")["event"] == "command.rejected"
    assert engine.answer("s")["event"] == "command.accepted"
    assert engine.answer("a")["event"] == "command.accepted"
    finished, code = finish(engine)
    assert (finished["outcome"], code) == ("aborted", 7)


@pytest.mark.figures  # these take the time that it needs to arrive
def test_while_reporting_abort_finishes_the_current_file(engine: Engine) -> None:
    engine.train(SHORT)
    run = run_directory(engine)
    engine.wait_for_phase("reporting")
    engine.send("abort", id="a")
    finished, code = finish(engine)
    assert (finished["outcome"], code) == ("aborted", 7)
    written = engine.of("artifact.written")
    assert not (run / "figures" / "reliability.png").exists(), "the last file was still written"
    assert all((run / event["path"]).is_file() for event in written)
    assert not list(run.rglob(".*")), "half files are left"


@pytest.mark.slow
def test_a_stop_while_evaluating_still_completes(engine: Engine) -> None:
    engine.train(SHORT)
    engine.wait_for_phase("evaluating")
    engine.send("stop", id="s")
    finished, code = finish(engine)
    assert (finished["outcome"], code) == ("completed", 0)


def test_checkpoint_saves_one_now(engine: Engine) -> None:
    engine.train(LONG)
    engine.wait_for_event("epoch.finished", epoch=1)
    mark = len(engine.events)
    engine.send("checkpoint", id="c")
    assert engine.answer("c")["event"] == "command.accepted"
    engine.wait_for_event("checkpoint.saved", after=mark, kind="last")
    engine.send("abort", id="a")
    finish(engine)


def test_sigterm_aborts_at_a_batch(engine: Engine) -> None:
    engine.train(LONG)
    run = run_directory(engine)
    engine.wait_for_event("epoch.finished", epoch=1)
    engine.process.terminate()
    finished, code = finish(engine)
    assert (finished["outcome"], code) == ("aborted", 7)
    assert (run / "checkpoints" / "last.safetensors").is_file()


@pytest.mark.parametrize(("choice", "outcome"), [("stop", "stopped"), ("continue", "completed")])
def test_a_closed_stdin_follows_on_disconnect(tmp_path: Path, choice: str, outcome: str) -> None:
    engine = Engine(tmp_path)
    epochs = 500 if choice == "stop" else 3
    engine.train(tiny(training={"epochs": epochs, "batch_size": 8, "patience": None}), on_disconnect=choice)
    engine.wait_for_event("epoch.finished", epoch=1)
    engine.hang_up()
    finished, _ = finish(engine)
    assert finished["outcome"] == outcome


def test_a_closed_stdout_does_not_mean_stop(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.train(tiny())
    run = run_directory(engine)
    engine.stop_reading()
    assert engine.process.wait(PATIENCE) == 0
    assert '"run.finished"' in (run / "events.jsonl").read_text().splitlines()[-1]
    assert "Traceback" not in (run / "run.log").read_text()


def test_commands_of_others_come_through_the_control_file(engine: Engine) -> None:
    import json

    engine.train(LONG)
    run = run_directory(engine)
    me = engine.of("hello")[0]["engine"]
    engine.wait_for_event("epoch.finished", epoch=1)
    with (run / "control.jsonl").open("a") as control:
        control.write(json.dumps({"command": "abort", "id": "other", "engine": "another engine"}) + "\n")
        control.write("garbage\n")
        control.write(json.dumps({"command": "stop", "id": "mine", "engine": me, "by": "a colleague"}) + "\n")
    accepted = engine.answer("mine")
    assert (accepted["event"], accepted["via"], accepted["by"]) == ("command.accepted", "control", "a colleague")
    finished, code = finish(engine)
    assert (finished["outcome"], code) == ("stopped", 6)
