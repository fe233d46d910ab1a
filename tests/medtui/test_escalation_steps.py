"""How far a request has come, and what to do when it takes too long: by what was seen, never by time alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_state import epoch, evaluated, finished, saved, started

from engine.contract.wire.protocol import CommandAccepted, CommandRejected, PhaseChanged, Progress
from medtui.client.escalation_steps import GRACE, EscalationStep, format_step, overdue, request_steps
from medtui.client.feed import absorb
from medtui.client.view import KEPT_POINTS, Request, RunView, ShutdownChecks

ASKED = 100.0  # Unix seconds
Shown = list[tuple[str, str, float | None, str]]


def accepted(seq: int, time: float, expected: float = 0.0, note: str = "", id: str = "7") -> CommandAccepted:
    return CommandAccepted(
        time=time, seq=seq, id=id, command="stop", expected=expected, by="ada", via="stdin", note=note
    )


def phase(seq: int, time: float, name: Any) -> PhaseChanged:
    return PhaseChanged(time=time, seq=seq, phase=name)


def at(time: float, event: Any) -> Any:
    return event.model_copy(update={"time": time})


def view_of(*events: Any) -> RunView:
    view = RunView(asked_to_start=True)
    for event in events:
        view = absorb(view, event)
    return view


def shown(view: RunView, command: str) -> Shown:
    steps = request_steps(view, Request("7", command, ASKED))
    return [(step.title, step.state, step.clock, step.note) for step in steps]


def test_a_pause_is_done_when_its_phase_and_its_checkpoint_have_come() -> None:
    events = [started(1), phase(2, 50.0, "training"), accepted(3, 101.0, expected=2.0, note="after this batch")]
    asked: Shown = [
        ("pause requested", "done", 0.0, ""),
        ("accepted", "done", 1.0, "batch and checkpoint take about 2.0 s; after this batch"),
    ]
    assert shown(view_of(*events), "pause") == [
        *asked,
        ("paused", "waiting", None, ""),
        ("checkpoint saved", "waiting", None, ""),
    ]
    events += [phase(4, 102.0, "paused"), at(103.0, saved(5, "last", 1))]
    assert shown(view_of(*events), "pause") == [
        *asked,
        ("paused", "done", 2.0, ""),
        ("checkpoint saved", "done", 3.0, ""),
    ]


def test_a_resume_is_done_when_training_goes_on_and_needs_no_checkpoint() -> None:
    paused = [started(1), phase(2, 50.0, "training"), phase(3, 60.0, "paused"), accepted(4, 100.0)]
    assert shown(view_of(*paused), "resume")[2:] == [("training", "waiting", None, "")]
    training = [*paused, phase(5, 104.0, "training")]
    assert shown(view_of(*training), "resume")[2:] == [("training", "done", 4.0, "")]


def test_what_was_so_already_is_said_to_be_and_only_once_it_was_answered() -> None:
    events = [started(1), phase(2, 50.0, "paused")]
    assert shown(view_of(*events), "pause")[2][:2] == ("paused", "waiting")
    assert shown(view_of(*events, accepted(3, 101.0)), "pause")[2:] == [("paused", "done", None, "already")]


def test_clocks_of_two_machines_may_differ_a_little_and_no_time_is_negative() -> None:
    """A phase that began 0.05 s before the request by the engine's clock came of it; one of earlier did not."""
    events = [started(1), accepted(2, 99.0)]
    assert shown(view_of(*events, phase(3, 99.95, "paused")), "pause")[1:3] == [
        ("accepted", "done", 0.0, ""),
        ("paused", "done", 0.0, ""),
    ]
    assert shown(view_of(*events, phase(3, 99.9, "paused"), phase(4, 99.91, "training")), "pause")[2][1] == "waiting"
    for time, state in ((99.95, "done"), (99.9, "waiting")):
        assert shown(view_of(*events, at(time, saved(3, "last", 1))), "abort")[2][:2] == ("checkpoint saved", state)


def test_a_stop_ends_with_the_lock_free_and_the_checkpoint_verified() -> None:
    events = [started(1), accepted(2, 100.0), at(101.0, saved(3, "last", 1)), at(102.0, evaluated(4, 0.9))]
    events.append(at(103.0, finished(5)))
    view = replace(
        view_of(*events),
        after=ShutdownChecks(process_gone=104.0, lock_free=105.0, checkpoint_checked=106.0, checkpoint="verified"),
    )
    assert shown(view, "stop")[2:] == [
        ("checkpoint saved", "done", 1.0, ""),
        ("best weights evaluated", "done", 2.0, ""),
        ("stopped", "done", 3.0, ""),
        ("process gone", "done", 4.0, ""),
        ("its lock free", "done", 5.0, ""),
        ("checkpoint verified", "done", 6.0, ""),
    ]
    titles = [title for title, *_ in shown(view, "abort")]
    assert "best weights evaluated" not in titles and "checkpoint saved" in titles


def test_a_run_that_ended_without_a_new_checkpoint_is_not_waited_for_to_save_one() -> None:
    view = view_of(started(1), accepted(2, 100.0), at(103.0, finished(3)))
    assert shown(view, "abort")[2:] == [
        ("stopped", "done", 3.0, ""),
        ("process gone", "waiting", None, ""),
        ("its lock free", "waiting", None, ""),
        ("checkpoint verified", "waiting", None, ""),
    ]
    none = replace(view, after=ShutdownChecks(checkpoint="none"))
    assert shown(none, "abort")[-1] == ("no checkpoint to verify", "done", None, "")
    damaged = replace(view, after=ShutdownChecks(checkpoint="damaged", trouble="cut"))
    assert shown(damaged, "abort")[-1] == ("checkpoint damaged", "failed", None, "cut")


def test_an_engine_that_died_is_a_failed_step_with_the_reason() -> None:
    view = replace(view_of(started(1), accepted(2, 100.0)), died="killed by signal 9")
    assert ("engine died", "failed", None, "killed by signal 9") in shown(view, "stop")
    assert not [title for title, *_ in shown(view, "stop") if title == "end reported"]
    assert ("end reported", "waiting", None, "") in shown(view_of(started(1)), "stop")


def test_an_evaluation_of_the_validation_split_is_not_that_of_the_best_weights() -> None:
    validation = evaluated(3, 0.9).model_copy(update={"split": "val"})
    view = view_of(started(1), accepted(2, 100.0), validation)
    assert ("best weights evaluated", "waiting", None, "") in shown(view, "stop")


def test_a_command_with_no_steps_of_its_own_has_its_answer() -> None:
    assert shown(view_of(accepted(1, 101.0)), "diagnose") == [
        ("diagnose requested", "done", 0.0, ""),
        ("accepted", "done", 1.0, ""),
    ]


@pytest.mark.parametrize(
    ("command", "harder"), [("pause", "stop"), ("resume", "stop"), ("stop", "abort"), ("abort", "kill")]
)
def test_the_advice_is_the_next_harder_command(command: str, harder: str) -> None:
    request = Request("7", command, ASKED)
    silent, slow = view_of(started(1)), view_of(started(1), accepted(2, 100.0, expected=60.0))
    assert overdue(silent, request, ASKED + GRACE) is None
    assert (overdue(silent, request, ASKED + GRACE + 0.1) or "").endswith(f"does not answer. Try {harder}.")
    assert overdue(slow, request, ASKED + 60.0) is None
    assert (overdue(slow, request, ASKED + 60.1) or "").endswith(f"expected 60.0 s. Try {harder}.")


def test_no_advice_is_given_for_what_has_ended_or_only_reports() -> None:
    late = ASKED + 1000
    stop, diagnose = Request("7", "stop", ASKED), Request("7", "diagnose", ASKED)
    assert (overdue(view_of(started(1)), diagnose, late) or "").endswith("does not answer.")
    reporting = view_of(started(1), accepted(2, 100.0), phase(3, 101.0, "reporting"))
    assert overdue(reporting, stop, late) is None, "the artifacts take their time"
    assert overdue(reporting, Request("7", "abort", ASKED), late) is not None
    assert overdue(view_of(started(1), finished(2)), stop, late) is None
    assert overdue(replace(view_of(started(1)), asked_to_start=False), stop, late) is None


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (EscalationStep("its lock free", "done", 12.34), "  12.3 s  its lock free: done"),
        (EscalationStep("its lock free", "waiting"), "          its lock free: …"),
        (EscalationStep("rejected", "failed", 0.0, "too late"), "   0.0 s  rejected: FAILED (too late)"),
    ],
)
def test_a_step_is_a_line_with_its_clock(step: EscalationStep, text: str) -> None:
    assert format_step(step) == text


# ---- the view -----------------------------------------------------------------------------------------------------


def progress(number: int | None, step: int | None = 1, loss: float | None = 0.5) -> Progress:
    return Progress(
        time=0.0, phase="training", activity="training", done=1, total=2, epoch=number, step=step, loss=loss
    )


def test_the_outcome_is_the_engine_s_or_crashed_and_none_while_an_old_journal_is_read() -> None:
    view = view_of(started(1), finished(2))
    assert (view.outcome, view.status_label, view.active) == ("stopped", "stopped", False)
    assert replace(view, catching_up=True).outcome is None
    died = replace(view_of(started(1)), died="killed")
    assert (died.outcome, died.active) == ("crashed", False)
    assert replace(died, asked_to_start=False).outcome is None


def test_the_label_is_the_phase_unless_there_is_more_to_say() -> None:
    assert RunView().status_label == "idle"
    assert RunView(asked_to_start=True).status_label == "starting"
    view = view_of(started(1), phase(2, 0.0, "training"))
    assert view.status_label == "training"
    assert replace(view, unseen="not seen since today").status_label == "not seen since today"
    assert replace(view_of(finished(1)), unseen="not seen since today").status_label == "stopped"


def test_the_epoch_is_the_running_one_and_never_beyond_the_last() -> None:
    assert RunView().epoch == 0
    events = [started(1), epoch(2, 1, 0.7, best=(1, 0.7))]
    assert view_of(*events).epoch == 1
    assert view_of(*events, progress(2)).epoch == 2
    assert view_of(*events, progress(9)).epoch == 8, "of eight"
    assert view_of(*events, progress(None)).epoch == 1
    assert view_of(progress(2)).epoch == 0, "of a run that has not begun"
    assert view_of(*events, progress(2), finished(3)).epoch == 1, "once it has ended, those that are done"


def test_only_the_newest_request_can_be_unanswered_and_only_while_the_run_is_active() -> None:
    first, second = Request("1", "pause", 0.0), Request("2", "stop", 1.0)
    view = replace(view_of(started(1)), requests=(first, second))
    assert view.unanswered == second
    assert absorb(view, accepted(2, 1.0, id="1")).unanswered == second
    answered = absorb(view, accepted(2, 1.0, id="2"))
    assert answered.unanswered is None
    assert answered.answer(second) == accepted(2, 1.0, id="2") and answered.answer(first) is None
    rejected = CommandRejected(time=2.0, seq=3, id="2", command="stop", reason="no", by="me", via="stdin")
    assert absorb(answered, rejected).answer(second) == rejected, "the newest"
    assert absorb(view, finished(2)).unanswered is None
    assert view_of(started(1)).unanswered is None


def test_a_curve_has_each_step_of_the_run_once_and_loses_those_of_finished_epochs() -> None:
    view = view_of(started(1), progress(1, 2, 0.9), progress(1, 2, 0.8), progress(1, 1, 0.7), progress(2, 1, 0.6))
    assert view.points == ((2, 0.9), (5, 0.6))  # four steps in an epoch
    for unknown in (progress(None), progress(1, None), progress(1, 4, None)):
        assert absorb(view, unknown).points == view.points
    whole = view_of(started(1), progress(1, 3, 0.9), progress(1, 4, 0.8), progress(2, 1, 0.6))
    assert absorb(whole, epoch(2, 1, 0.7, best=(1, 0.7))).points == ((5, 0.6),)
    assert absorb(view, started(2)).points == ()


def test_of_a_long_epoch_every_other_point_is_kept() -> None:
    view = replace(view_of(started(1)), points=tuple((step, 0.5) for step in range(1, KEPT_POINTS)))
    full = absorb(view, progress(KEPT_POINTS // 4, 4, 0.4))  # four steps in an epoch
    assert len(full.points) == KEPT_POINTS
    thinned = absorb(full, progress(KEPT_POINTS // 4 + 1, 1, 0.3))
    assert thinned.points == (*full.points[::2], (KEPT_POINTS + 1, 0.3))
