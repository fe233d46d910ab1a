"""`RunState` is a pure fold: the same events make the same state, live, replayed or resumed, and none do harm."""

from __future__ import annotations

import gc
import math
import time
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from any_events import CALM, EVENT_CLASSES, POOL, STORIES, events_of
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.contract.store.journal import read_journal
from engine.contract.wire.protocol import (
    ArtifactWritten,
    CheckpointSaved,
    ClassMetrics,
    CommandAccepted,
    EpochFinished,
    EvaluationFinished,
    Hello,
    Log,
    Metrics,
    PhaseChanged,
    Position,
    Progress,
    Resources,
    RunFinished,
    RunStarted,
)
from medtui.client.journal import replay
from medtui.client.state import RunState, fold
from medtui.eta import Eta


def folded(events: list[Any], state: RunState | None = None) -> RunState:
    return reduce(fold, events, state or RunState())


# ---- any events at all --------------------------------------------------------------------------------------------


def test_there_are_events_to_sample_from() -> None:
    assert len(EVENT_CLASSES) == 15


@settings(max_examples=60, **CALM)
@given(story=STORIES)
def test_no_events_in_any_order_do_harm(story: list[Any]) -> None:
    state = folded(story)
    assert state.seq == max((event.seq for event in story if event.seq is not None), default=0)
    epochs = [epoch.epoch for epoch in state.epochs]
    assert epochs == sorted(set(epochs)), "a curve goes forward"


@settings(max_examples=40, **CALM)
@given(story=STORIES, event=POOL)
def test_the_fold_is_pure(story: list[Any], event: Any) -> None:
    state = folded(story)
    before, event_before = repr(state), repr(event)
    once, twice = fold(state, event), fold(state, event)
    assert repr(once) == repr(twice)
    assert repr(state) == before, "the state that went in was changed"
    assert repr(event) == event_before, "the event was changed"


@settings(max_examples=40, **CALM)
@given(story=STORIES)
def test_repeated_events_change_nothing(story: list[Any]) -> None:
    state = folded(story)
    assert repr(folded(story, state)) == repr(state)
    assert repr(folded(story[::-1], state)) == repr(state)
    assert repr(folded([event for event in story for _ in range(2)])) == repr(state)


@settings(max_examples=40, **CALM)
@given(story=STORIES)
def test_folding_can_continue_from_any_state(story: list[Any]) -> None:
    """Attaching, and rereading the journal after a gap, continue from the known state."""
    whole = repr(folded(story))
    for cut in range(len(story) + 1):
        assert repr(folded(story[cut:], folded(story[:cut]))) == whole
        assert repr(folded(story, folded(story[:cut]))) == whole


@settings(max_examples=40, **CALM)
@given(data=st.data(), story=STORIES)
def test_lost_events_do_no_harm(data: st.DataObject, story: list[Any]) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(story), max_size=len(story)))
    heard = [event for event, arrives in zip(story, kept, strict=True) if arrives]
    assert folded(heard).seq <= max((event.seq or 0 for event in story), default=0)


@settings(max_examples=40, **CALM)
@given(story=STORIES, snapshot=st.sampled_from([Progress, Resources]).flatmap(events_of))
def test_snapshots_do_not_change_the_state(story: list[Any], snapshot: Any) -> None:
    state = folded(story)
    assert fold(state, snapshot.model_copy(update={"seq": None})) is state


@settings(max_examples=40, **CALM)
@given(story=STORIES)
def test_serialised_events_make_the_same_state(tmp_path_factory: pytest.TempPathFactory, story: list[Any]) -> None:
    journal = tmp_path_factory.mktemp("run") / "events.jsonl"
    journal.write_bytes(b"".join(event.line() for event in story))
    assert repr(replay(journal)) == repr(folded(story))


# ---- one run, told by hand ----------------------------------------------------------------------------------------


def hello(seq: int) -> Hello:
    return Hello(time=0.0, seq=seq, engine="9f8e", pid=42, started=0.0, host="node7", boot="b", versions={})


def started(seq: int, resumed_from: Position | None = None) -> RunStarted:
    return RunStarted(
        time=0.0,
        seq=seq,
        attempt=2 if resumed_from else 1,
        resumed_from=resumed_from,
        run="20261122_cells_mini-cnn_abcdef",
        run_dir="/work/outputs/20261122_cells_mini-cnn_abcdef",
        recipe_hash="00" * 16,
        dataset="cells",
        size=28,
        task="multi_class",
        synthetic=True,
        class_names=["one", "two"],
        model="mini_cnn",
        parameters=98_000,
        epochs=8,
        steps_per_epoch=4,
        batch_size=16,
        images={"train": 64},
        patience=None,
        device="cpu",
        decisions={},
    )


def metrics(auc: float) -> Metrics:
    return Metrics(loss=0.5, auc=auc, acc=0.5, f1=0.5)


def per_class(auc: float) -> list[ClassMetrics]:
    return [ClassMetrics(name="one", recall=0.5, precision=0.5, f1=0.5, auc=auc, support=3)]


def epoch(seq: int, number: int, auc: float, best: tuple[int, float]) -> EpochFinished:
    return EpochFinished(
        time=0.0,
        seq=seq,
        epoch=number,
        step=4 * number,
        seconds=1.0,
        images_per_second=64.0,
        lr=0.01,
        train_loss=0.5,
        train_acc=0.5,
        validation=metrics(auc),
        per_class=per_class(auc),
        best=best[0] == number,
        best_epoch=best[0],
        best_auc=best[1],
        without_improvement=number - best[0],
        curve=[(4 * number, 0.5)],
    )


def saved(seq: int, kind: Any, number: int) -> CheckpointSaved:
    path = f"checkpoints/{kind}.safetensors"
    position = Position(epoch=number, step=0)
    return CheckpointSaved(
        time=0.0, seq=seq, kind=kind, path=path, position=position, digest="0" * 32, bytes=9, seconds=0.1
    )


def evaluated(seq: int, auc: float) -> EvaluationFinished:
    return EvaluationFinished(
        time=0.0,
        seq=seq,
        dataset="cells",
        split="test",
        n=64,
        views=["identity"],
        metrics=metrics(auc),
        per_class=per_class(auc),
    )


def artifact(seq: int) -> ArtifactWritten:
    return ArtifactWritten(time=0.0, seq=seq, name="workbook", path="reports/report.xlsx", bytes=9)


def finished(seq: int) -> RunFinished:
    return RunFinished(time=0.0, seq=seq, outcome="stopped", exit_code=6, metrics={}, run_dir="/work/outputs/r")


RUN = [
    hello(1),
    PhaseChanged(time=0.0, seq=2, phase="preparing"),
    started(3),
    PhaseChanged(time=0.0, seq=4, phase="training"),
    epoch(5, 1, 0.7, best=(1, 0.7)),
    saved(6, "last", 1),
    saved(7, "best", 1),
    epoch(8, 2, 0.9, best=(2, 0.9)),
    saved(9, "last", 2),
    saved(10, "best", 2),
    epoch(11, 3, 0.8, best=(2, 0.9)),
    saved(12, "last", 3),
    CommandAccepted(time=0.0, seq=13, id="c", command="stop", expected=1.0, by="ada", via="control"),
    Log(time=0.0, seq=14, message="stopping"),
    evaluated(15, 0.85),
    artifact(16),
    finished(17),
]


def test_a_state_describes_the_complete_run() -> None:
    state = folded(RUN)
    assert state.seq == 17
    assert state.hello == RUN[0]
    assert state.phase == "training"
    assert state.started == RUN[2]
    assert [e.epoch for e in state.epochs] == [1, 2, 3]
    assert state.last_checkpoint is not None
    assert state.last_checkpoint.position.epoch == 3
    assert state.best_checkpoint is not None
    assert state.best_checkpoint.position.epoch == 2
    assert state.answers == (RUN[12],)
    assert state.messages == (RUN[13],)
    assert state.evaluations == (RUN[14],)
    assert state.artifacts == (RUN[15],)
    assert state.finished == RUN[16]


def test_the_run_is_where_its_engine_reported_it() -> None:
    directory = folded(RUN).run_directory
    assert directory is not None and directory.root == Path("/work/outputs/20261122_cells_mini-cnn_abcdef")
    assert folded(RUN[:2]).run_directory is None


def test_the_summary_is_of_the_best_epoch_and_the_test() -> None:
    summary = folded(RUN).summary
    assert (summary.epochs_planned, summary.epochs_done, summary.best_epoch) == (8, 3, 2)
    assert summary.validation == metrics(0.9)
    assert summary.test == metrics(0.85)
    assert summary.per_class == per_class(0.85)
    assert summary.artifacts == {"workbook": "reports/report.xlsx"}
    assert (summary.outcome, summary.dataset, summary.synthetic) == ("stopped", "cells", True)


def test_a_late_event_does_not_revert_the_state() -> None:
    state = folded(RUN)
    assert fold(state, PhaseChanged(time=9.0, seq=4, phase="paused")) is state
    assert fold(state, epoch(11, 9, 1.0, best=(9, 1.0))) is state


def test_what_is_undefined_stays_undefined() -> None:
    state = folded([started(1), epoch(2, 1, math.nan, best=(1, math.nan))])
    assert math.isnan(state.epochs[0].validation.auc)
    assert state.summary.validation is not None
    assert math.isnan(state.summary.validation.auc)


def test_a_long_run_keeps_its_newest_messages_only() -> None:
    logs = [Log(time=0.0, seq=seq, message=str(seq)) for seq in range(1, 5001)]
    kept = [message.message for message in folded(logs).messages]
    assert 100 <= len(kept) < 5000
    assert kept == [str(seq) for seq in range(5001 - len(kept), 5001)]


# ---- resumed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resumed_from", "kept"),
    [
        (Position(epoch=2, step=0), [1, 2]),
        (Position(epoch=2, step=3), [1, 2]),
        (Position(epoch=3, step=1), [1, 2, 3]),
        (Position(epoch=0, step=1), []),
        (None, []),
    ],
)
def test_a_resumed_run_forgets_the_epochs_beyond(resumed_from: Position | None, kept: list[int]) -> None:
    state = folded([*RUN, started(18, resumed_from)])
    assert [e.epoch for e in state.epochs] == kept
    assert state.finished is None
    assert state.evaluations == ()
    assert state.artifacts == ()
    assert state.summary.outcome is None


@pytest.mark.parametrize(
    ("resumed_from", "last", "best"),
    [
        (Position(epoch=3, step=1), 3, 2),
        (Position(epoch=3, step=0), 3, 2),  # from that very checkpoint
        (Position(epoch=2, step=3), None, 2),
        (Position(epoch=2, step=0), None, 2),
        (Position(epoch=1, step=3), None, None),
        (None, None, None),
    ],
)
def test_a_resumed_run_forgets_the_checkpoints_beyond(
    resumed_from: Position | None, last: int | None, best: int | None
) -> None:
    state = folded([*RUN, started(18, resumed_from)])
    kept = [saved and saved.position.epoch for saved in (state.last_checkpoint, state.best_checkpoint)]
    assert kept == [last, best]


def test_an_epoch_done_again_replaces_the_one_that_was_lost() -> None:
    state = folded([*RUN, started(18, Position(epoch=1, step=2)), epoch(19, 2, 0.6, best=(1, 0.7))])
    assert [(e.epoch, e.validation.auc) for e in state.epochs] == [(1, 0.7), (2, 0.6)]


def test_a_curve_moves_forward_even_if_the_resume_event_was_lost() -> None:
    state = folded([*RUN, epoch(19, 2, 0.6, best=(1, 0.7))])
    assert [(e.epoch, e.validation.auc) for e in state.epochs] == [(1, 0.7), (2, 0.6)]


def test_the_summary_of_a_resumed_run_forgets_with_the_state() -> None:
    state = folded([*RUN, started(18, Position(epoch=1, step=2))])
    assert state.summary.epochs_done == 1
    assert state.summary.best_epoch == 1
    assert state.summary.test is None
    assert state.summary.artifacts == {}


# ---- time worked --------------------------------------------------------------------------------------------------


def at(time: float, event: Any) -> Any:
    return event.model_copy(update={"time": time})


def phase(seq: int, name: Any) -> PhaseChanged:
    return PhaseChanged(time=0.0, seq=seq, phase=name)


WORKED = [  # an hour of preparing, 10 s of work, an hour's pause, 5 s of work; killed, and resumed a day later: 7 s
    at(0.0, hello(1)),
    at(1.0, phase(2, "preparing")),
    at(3600.0, started(3)),
    at(3601.0, phase(4, "training")),
    at(3610.0, phase(5, "paused")),
    at(5000.0, Log(time=0.0, seq=6, message="still there")),
    at(7210.0, phase(7, "training")),
    at(7215.0, saved(8, "last", 1)),
    at(90_000.0, hello(9)),
    at(90_001.0, phase(10, "preparing")),
    at(90_002.0, Log(time=0.0, seq=11, message="it goes on although the threads changed")),
    at(90_003.0, started(12, Position(epoch=1, step=0))),
    at(90_004.0, phase(13, "training")),
    at(90_009.0, phase(14, "evaluating")),
    at(90_010.0, finished(15)),
    at(99_000.0, Log(time=0.0, seq=16, message="long after")),
]


def test_neither_pauses_nor_the_time_between_attempts_count_as_training_time() -> None:
    assert folded(WORKED[:2]).summary.worked is None
    assert [folded(WORKED[:count]).summary.worked for count in (3, 5, 6, 8, 12, 16)] == [
        0.0,
        10.0,
        10.0,
        15.0,
        15.0,
        22.0,
    ]
    training, paused = folded(WORKED[:4]).summary, folded(WORKED[:6]).summary
    assert (training.worked_at(3605.0), paused.worked_at(6000.0)) == (5.0, 10.0)


def test_a_pause_does_not_increase_the_remaining_time() -> None:
    """A step a second: of 100 steps 80 are left after 20, and an hour's pause later too."""
    eta, state = Eta(), folded(WORKED[:4])
    for step in range(20):
        left = eta.after(step + 1, 100, state.summary.worked_at(3602.0 + step))
    assert left == pytest.approx(80.0)
    for event in (at(3621.0, phase(5, "paused")), at(7221.0, phase(6, "training"))):
        state = fold(state, event)
    assert eta.after(21, 100, state.summary.worked_at(7222.0)) == pytest.approx(79.0)


def test_time_left_is_told_from_ten_steps_and_two_seconds_of_work_on() -> None:
    """Since the first step that was seen complete: the setup is in that one."""
    eta = Eta()
    assert eta.after(0, 100, 5.0) is None and eta.after(1, 100, None) is None
    assert eta.after(1, 100, 50.0) is None
    assert eta.after(10, 100, 59.0) is None, "nine steps"
    assert eta.after(11, 100, 60.0) == pytest.approx(89.0), "ten in 10 s"
    fast = Eta()
    assert [fast.after(1 + n, 101, 50.0 + 0.1 * n) for n in range(20)] == [None] * 20, "up to 1.9 s"
    assert fast.after(21, 101, 52.0) == pytest.approx(8.0)


def test_time_left_follows_a_pace_that_changed() -> None:
    """Of the newest 300 steps."""
    eta = Eta()
    for step in range(1, 301):
        eta.after(step, 1000, 1.0 * step)
    for step in range(301, 601):
        left = eta.after(step, 1000, 300.0 + 4.0 * (step - 300))
    assert left == pytest.approx(4.0 * 400)


# ---- long runs --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_hundred_thousand_epochs_fold_in_under_two_seconds() -> None:
    """This thread's CPU time, each epoch the best so far, which changes the most."""
    first = next(event for event in RUN if isinstance(event, EpochFinished))
    numbers = range(1, 100_001)
    before = time.thread_time()
    epochs = [first.model_copy(update={"seq": n, "epoch": n, "step": n, "best": True}) for n in numbers]
    gc.collect()
    began = time.thread_time()
    state = folded(epochs)
    on_a_slow_machine = 4 * (began - before)  # where making these events takes more than half a second
    assert time.thread_time() - began < max(2.0, on_a_slow_machine)
    assert [epoch.epoch for epoch in state.epochs] == list(numbers)
    assert (state.summary.epochs_done, state.summary.best_epoch) == (100_000, 100_000)


# ---- the journal --------------------------------------------------------------------------------------------------


def test_a_journal_replays_to_the_state_it_was_written_from(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    journal.write_bytes(b"".join(event.line() for event in RUN))
    assert list(read_journal(journal)) == RUN
    assert replay(journal) == folded(RUN)


def test_a_torn_last_line_is_as_if_it_had_not_been_written(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    whole, last = b"".join(event.line() for event in RUN[:-1]), RUN[-1].line()
    expected = folded(RUN[:-1])
    for length in range(len(last)):  # up to the whole line without its end
        journal.write_bytes(whole + last[:length])
        assert replay(journal) == expected, length
    journal.write_bytes(whole + last)
    assert replay(journal) == folded(RUN)


def test_lines_that_are_not_events_are_skipped(tmp_path: Path) -> None:
    journal = tmp_path / "events.jsonl"
    nonsense = [b"\n", b"\xff\xfe\n", b"{}\n", b'{"event":"mood.changed","time":1,"seq":9}\n', b"x" * 2**21 + b"\n"]
    journal.write_bytes(b"".join(line for event in RUN for line in (event.line(), *nonsense)))
    assert replay(journal) == folded(RUN)


def test_an_empty_journal_is_a_run_without_events(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").touch()
    assert replay(tmp_path / "events.jsonl") == RunState()
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "missing.jsonl")
