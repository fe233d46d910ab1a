"""`RunState`: everything known of a run, a pure fold over its state events.

Live screen, headless progress, attach and the results of a finished run use this one fold. Snapshots (`progress`,
`resources`) are kept separately; whether a run crashed is a question of `RunState` and liveness, outside it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract.findings.history import RunHistory, fold_history
from engine.contract.store.growing import Growing
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.status import RunSummary, fold_summary
from engine.contract.wire.protocol import (
    Alarm,
    AnyEvent,
    ArtifactWritten,
    CheckpointSaved,
    CommandAccepted,
    CommandRejected,
    EpochFinished,
    EvaluationFinished,
    Hello,
    Log,
    Phase,
    PhaseChanged,
    Position,
    RunFinished,
    RunStarted,
)

KEPT_MESSAGES = 500
KEPT_ANSWERS = 100


@dataclass(frozen=True)
class RunState:
    seq: int = 0  # of the newest event that was taken in
    hello: Hello | None = None
    phase: Phase = "idle"
    started: RunStarted | None = None
    epochs: Growing[EpochFinished] = field(default_factory=Growing)  # by number, each once
    last_checkpoint: CheckpointSaved | None = None
    best_checkpoint: CheckpointSaved | None = None
    evaluations: Growing[EvaluationFinished] = field(default_factory=Growing)
    artifacts: Growing[ArtifactWritten] = field(default_factory=Growing)
    messages: tuple[Log | Alarm, ...] = ()  # the newest
    answers: tuple[CommandAccepted | CommandRejected, ...] = ()  # the newest
    finished: RunFinished | None = None
    summary: RunSummary = field(default_factory=RunSummary)
    history: RunHistory = field(default_factory=RunHistory)  # that the findings are made of

    @property
    def run_directory(self) -> RunDirectory | None:
        """As its engine reported; None before there is one."""
        return RunDirectory(Path(self.started.run_dir)) if self.started is not None else None


def fold(state: RunState, event: AnyEvent) -> RunState:
    """The state after one more event. Pure; snapshots and what was taken in before change nothing."""
    if event.seq is None or event.seq <= state.seq:
        return state
    summary, history = fold_summary(state.summary, event), fold_history(state.history, event)
    folded = object.__new__(RunState)  # as `replace` does, in a fifth of its time: a journal has many events
    changed = _changed_by(state, event)
    folded.__dict__.update(state.__dict__, seq=event.seq, summary=summary, history=history, **changed)
    return folded


def _changed_by(state: RunState, event: AnyEvent) -> dict[str, Any]:
    match event:
        case Hello():
            return {"hello": event}
        case PhaseChanged():
            return {"phase": event.phase}
        case RunStarted():
            return _started(state, event)
        case EpochFinished():
            return {"epochs": _before(state.epochs, event.epoch).added(event)}
        case CheckpointSaved(kind="best"):
            return {"best_checkpoint": event}
        case CheckpointSaved():
            return {"last_checkpoint": event}
        case EvaluationFinished():
            return {"evaluations": state.evaluations.added(event)}
        case ArtifactWritten():
            return {"artifacts": state.artifacts.added(event)}
        case Log() | Alarm():
            return {"messages": (*state.messages, event)[-KEPT_MESSAGES:]}
        case CommandAccepted() | CommandRejected():
            return {"answers": (*state.answers, event)[-KEPT_ANSWERS:]}
        case RunFinished():
            return {"finished": event}
        case _:
            return {}


def _started(state: RunState, event: RunStarted) -> dict[str, Any]:
    """A resumed run forgets what lay beyond the position it resumes from."""
    position = event.resumed_from or Position(epoch=0, step=0)
    return {
        "started": event,
        "epochs": _before(state.epochs, position.epoch + 1),
        "last_checkpoint": _up_to(position, state.last_checkpoint),
        "best_checkpoint": _up_to(position, state.best_checkpoint),
        "evaluations": Growing(),
        "artifacts": Growing(),
        "finished": None,
    }


def _before(epochs: Growing[EpochFinished], number: int) -> Growing[EpochFinished]:
    last = epochs.last
    if last is None or last.epoch < number:  # as it nearly always is
        return epochs
    return epochs.first(bisect_left(epochs, number, key=lambda epoch: epoch.epoch))


def _up_to(position: Position, saved: CheckpointSaved | None) -> CheckpointSaved | None:
    """A checkpoint unless it lies beyond."""
    if saved is None or (saved.position.epoch, saved.position.step) > (position.epoch, position.step):
        return None
    return saved
