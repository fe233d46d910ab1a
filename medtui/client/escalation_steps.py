"""The kill switch as a list of steps: what was requested, what is known to have happened since, and when.

Everything here comes from events and checks; nothing is assumed because time has passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.contract.wire.protocol import CommandAccepted, CommandRejected
from medtui.client.view import Request, RunView
from medtui.text import clean

StepState = Literal["waiting", "done", "failed"]
GRACE = 10.0  # seconds, at least, before the next step is advised


@dataclass(frozen=True)
class EscalationStep:
    title: str
    state: StepState
    clock: float | None = None  # seconds since the request
    note: str = ""


def format_step(step: EscalationStep) -> str:
    """A step as a line of text."""
    mark = {"done": "done", "waiting": "…", "failed": "FAILED"}[step.state]
    clock = f"{step.clock:6.1f} s" if step.clock is not None else " " * 8
    return f"{clock}  {step.title}: {mark}" + (f" ({step.note})" if step.note else "")


def request_steps(view: RunView, request: Request) -> list[EscalationStep]:
    """How far a request has come. Pure."""
    answer = view.answer(request)
    found = [EscalationStep(f"{request.command} requested", "done", 0.0), _answered(request, answer)]
    if isinstance(answer, CommandRejected):
        return found
    if request.command in ("pause", "resume"):
        return found + _held(view, request)
    if request.command in ("stop", "abort"):
        return found + _ended(view, request)
    return found


def end_steps(view: RunView) -> list[EscalationStep]:
    """How a run ended that nobody here asked to end, and what was seen of it since. Pure."""
    finished = view.state.finished
    return _ended(view, Request("", "", finished.time if finished is not None else view.after.process_gone or 0.0))


def overdue(view: RunView, request: Request, now: float) -> str | None:
    """What to do when a request takes longer than it should; None while it may still take its time."""
    if not view.active:
        return None
    answer = view.answer(request)
    waited = now - request.at
    expected = answer.expected if isinstance(answer, CommandAccepted) else 0.0
    if waited <= max(GRACE, expected):
        return None
    harder = {"pause": "stop", "resume": "stop", "stop": "abort", "abort": "kill"}.get(request.command)
    if answer is None:
        return "The engine does not answer." + (f" Try {harder}." if harder else "")
    if request.command == "stop" and view.phase in ("evaluating", "reporting"):
        return None
    return f"Took longer than the expected {expected:.1f} s." + (f" Try {harder}." if harder else "")


def _answered(request: Request, answer: CommandAccepted | CommandRejected | None) -> EscalationStep:
    if answer is None:
        return EscalationStep("engine's answer", "waiting")
    clock = max(0.0, answer.time - request.at)
    if isinstance(answer, CommandRejected):
        return EscalationStep("rejected", "failed", clock, clean(answer.reason, 200))
    expected = f"batch and checkpoint take about {answer.expected:.1f} s" if answer.expected >= 0.1 else ""
    return EscalationStep("accepted", "done", clock, "; ".join(filter(None, (expected, clean(answer.note, 200)))))


def _held(view: RunView, request: Request) -> list[EscalationStep]:
    target = "paused" if request.command == "pause" else "training"
    at = _entered(view, target, request)
    if at is None and view.phase == target and view.answer(request) is not None:
        return [EscalationStep(target, "done", None, "already")]
    found = [_step(target, at, request)]
    if request.command == "pause":
        found.append(_step("checkpoint saved", _saved(view, request), request))
    return found


def _ended(view: RunView, request: Request) -> list[EscalationStep]:
    found = []
    state, after = view.state, view.after
    saved = _saved(view, request)
    if saved is not None or state.finished is None:
        found.append(_step("checkpoint saved", saved, request))
    if request.command == "stop":
        found.append(_step("best weights evaluated", _evaluated(view, request), request))
    if view.died is not None:
        found.append(EscalationStep("engine died", "failed", None, clean(view.died, 200)))
    else:
        outcome = state.finished.outcome if state.finished else "end reported"
        found.append(_step(outcome, state.finished.time if state.finished else None, request))
    found.append(_step("process gone", after.process_gone, request))
    found.append(_step("its lock free", after.lock_free, request))
    if after.checkpoint == "damaged":
        found.append(EscalationStep("checkpoint damaged", "failed", None, clean(after.trouble, 200)))
    elif after.checkpoint == "none":
        found.append(EscalationStep("no checkpoint to verify", "done"))
    else:
        found.append(_step("checkpoint verified", after.checkpoint_checked, request))
    return found


def _step(title: str, at: float | None, request: Request) -> EscalationStep:
    return EscalationStep(title, "waiting") if at is None else EscalationStep(title, "done", max(0.0, at - request.at))


def _entered(view: RunView, phase: str, request: Request) -> float | None:
    return next((at for name, at in view.phases if name == phase and at >= request.at - 0.05), None)


def _saved(view: RunView, request: Request) -> float | None:
    checkpoint = view.state.last_checkpoint
    return checkpoint.time if checkpoint is not None and checkpoint.time >= request.at - 0.05 else None


def _evaluated(view: RunView, request: Request) -> float | None:
    evaluations = view.state.evaluations
    return evaluations[-1].time if evaluations and evaluations[-1].split == "test" else None
