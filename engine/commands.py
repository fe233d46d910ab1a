"""Which command does what in which phase: the table of the protocol, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.contract.protocol import Phase

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


_NOTHING_RUNS = _no("nothing is running: start a job first")
_OVER = _no("the job is over")
_BUSY = _no("busy: an engine does one job")
_LATE = _no("training is over; stop and abort still work")
_EARLY = _no("still preparing")

_TABLE: dict[str, dict[Phase, Answer]] = {
    "start": {"idle": Answer("start")},
    "pause": {
        "idle": _NOTHING_RUNS,
        "preparing": Answer("pause", "holds before the first batch"),
        "training": Answer("pause", "holds at the next batch, saves a checkpoint, keeps the lock"),
        "paused": Answer("nothing", "paused already"),
        "evaluating": _LATE,
        "reporting": _LATE,
    },
    "resume": {
        "idle": _NOTHING_RUNS,
        "preparing": Answer("resume", "will not hold"),
        "training": Answer("resume", "training already"),
        "paused": Answer("resume"),
        "evaluating": _LATE,
        "reporting": _LATE,
    },
    "stop": {
        "idle": _NOTHING_RUNS,
        "preparing": Answer("abort", "nothing is trained yet, so this is abort"),
        "training": Answer("stop", "ends the batch, saves, evaluates the best weights, writes all artifacts"),
        "paused": Answer("stop", "saves, evaluates the best weights, writes all artifacts"),
        "evaluating": Answer("nothing", "training is over already"),
        "reporting": Answer("nothing", "training is over already"),
    },
    "abort": {
        "idle": _NOTHING_RUNS,
        "preparing": Answer("abort", "ends; nothing is kept"),
        "training": Answer("abort", "ends the batch, saves a checkpoint"),
        "paused": Answer("abort", "saves a checkpoint"),
        "evaluating": Answer("abort", "ends the batch"),
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
_ELSE: dict[str, Answer] = {"start": _BUSY, "shutdown": _no("busy: stop or abort the job first")}


def answer(command: str, phase: Phase) -> Answer:
    """What an engine says to a command in a phase. Pure."""
    return _TABLE[command].get(phase) or _ELSE.get(command, _OVER)
