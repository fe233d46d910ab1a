"""Which command does what in which phase: the table of the protocol, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.contract.wire.protocol import Phase
from engine.control import Requested

Action = Literal["start", "pause", "resume", "stop", "abort", "checkpoint", "diagnose", "shutdown", "nothing"]


@dataclass(frozen=True)
class Answer:
    """Accepted with an action and a note, or rejected with a reason."""

    action: Action | None
    text: str = ""

    @property
    def accepted(self) -> bool:
        return self.action is not None


def _no(reason: str) -> Answer:
    return Answer(None, reason)


NOTHING = Requested()
_NOTHING_RUNS = _no("nothing is running: start a job first")
_OVER = _no("the job is over")
_BUSY = _no("busy: an engine runs a single job")
_LATE = _no("training is over; stop and abort still work")
_EARLY = _no("still preparing")

_TABLE: dict[str, dict[Phase, Answer]] = {
    "start": {"idle": Answer("start")},
    "pause": {
        "idle": _NOTHING_RUNS,
        "preparing": Answer("pause", "pauses before the first batch"),
        "training": Answer("pause", "pauses at the next batch, saves a checkpoint, keeps the lock"),
        "paused": Answer("pause", "already paused"),
        "evaluating": _LATE,
        "reporting": _LATE,
    },
    "resume": {
        "idle": _NOTHING_RUNS,
        "preparing": Answer("resume", "will not pause"),
        "training": Answer("resume", "already training"),
        "paused": Answer("resume"),
        "evaluating": _LATE,
        "reporting": _LATE,
    },
    "stop": {
        "idle": _NOTHING_RUNS,
        "preparing": Answer("abort", "nothing is trained yet, so this aborts"),
        "training": Answer("stop", "finishes the batch, saves, evaluates the best weights, writes all artifacts"),
        "paused": Answer("stop", "saves, evaluates the best weights, writes all artifacts"),
        "evaluating": Answer("nothing", "training is already over"),
        "reporting": Answer("nothing", "training is already over"),
    },
    "abort": {
        "idle": _NOTHING_RUNS,
        "preparing": Answer("abort", "ends; nothing is kept"),
        "training": Answer("abort", "finishes the batch, saves a checkpoint"),
        "paused": Answer("abort", "saves a checkpoint"),
        "evaluating": Answer("abort", "finishes the batch"),
        "reporting": Answer("abort", "finishes the current file"),
    },
    "checkpoint": {
        "idle": _NOTHING_RUNS,
        "preparing": _EARLY,
        "training": Answer("checkpoint"),
        "paused": Answer("nothing", "the pause saved one"),
        "evaluating": _LATE,
        "reporting": _LATE,
    },
    "diagnose": {
        "idle": Answer("diagnose"),
        "preparing": _EARLY,
        "training": Answer("diagnose"),
        "paused": Answer("diagnose"),
        "evaluating": Answer("diagnose"),
        "reporting": Answer("diagnose"),
    },
    "shutdown": {"idle": Answer("shutdown")},
}
_OTHER_PHASES: dict[str, Answer] = {"start": _BUSY, "shutdown": _no("busy: stop or abort the job first")}


def answer(command: str, phase: Phase, requested: Requested = NOTHING) -> Answer:
    """How an engine answers a command in a phase, given what it has already accepted. Pure.

    The job comes to a request at its next batch, so until then its phase does not say what it is about to do.
    """
    given = _TABLE[command].get(phase) or _OTHER_PHASES.get(command, _OVER)
    if phase not in ("preparing", "training", "paused") or not given.accepted:
        return given
    if requested.abort:
        return _ABORTING.get(command, given)
    if requested.stop:
        return _STOPPING.get(command, given)
    holds = requested.pause
    if command == "pause" and holds:
        return given if phase == "paused" else Answer("pause", f"already requested, {given.text}")
    if command == "pause" and phase == "paused":
        return Answer("pause", "stays paused")
    if command == "resume" and holds and phase == "training":
        return Answer("resume", "will not pause")
    if command == "resume" and not holds and phase == "paused":
        return Answer("resume", "already requested")
    return given


_ABORTING = {
    "pause": _no("the run is being aborted"),
    "resume": _no("the run is being aborted"),
    "stop": Answer("nothing", "already being aborted"),
    "abort": Answer("abort", "already being aborted"),
    "checkpoint": Answer("nothing", "abort saves one"),
}
_STOPPING = {
    "pause": _no("the run is being stopped; there is no further batch to pause at"),
    "resume": _no("the run is being stopped"),
    "stop": Answer("nothing", "already being stopped"),
    "checkpoint": Answer("nothing", "stop saves one"),
}
