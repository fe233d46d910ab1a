"""`RunState`: everything known of a run, a pure fold over its state events.

Live screen, headless progress, attach and the results of a finished run use this one fold. Snapshots (`progress`,
`resources`) stand beside it; whether a run crashed is a question of `RunState` and liveness, outside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from engine.contract.protocol import (
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
from engine.contract.status import RunSummary, fold_summary

KEPT_MESSAGES = 500
KEPT_ANSWERS = 100


@dataclass(frozen=True)
class RunState:
    seq: int = 0  # of the newest event that was taken in
    hello: Hello | None = None
    phase: Phase = "idle"
    started: RunStarted | None = None
    epochs: tuple[EpochFinished, ...] = ()
    last_checkpoint: CheckpointSaved | None = None
    best_checkpoint: CheckpointSaved | None = None
    evaluations: tuple[EvaluationFinished, ...] = ()
    artifacts: tuple[ArtifactWritten, ...] = ()
    messages: tuple[Log | Alarm, ...] = ()  # the newest
    answers: tuple[CommandAccepted | CommandRejected, ...] = ()  # the newest
    finished: RunFinished | None = None
    summary: RunSummary = field(default_factory=RunSummary)


def fold(state: RunState, event: AnyEvent) -> RunState:
    """The state after one more event. Pure; snapshots and what was taken in before change nothing."""
    if event.seq is None or event.seq <= state.seq:
        return state
    changed = replace(state, seq=event.seq, summary=fold_summary(state.summary, event))
    return _with(changed, event)


def _with(state: RunState, event: AnyEvent) -> RunState:
    match event:
        case Hello():
            return replace(state, hello=event)
        case PhaseChanged():
            return replace(state, phase=event.phase)
        case RunStarted():
            return _started(state, event)
        case EpochFinished():
            return replace(state, epochs=(*(e for e in state.epochs if e.epoch < event.epoch), event))
        case CheckpointSaved(kind="best"):
            return replace(state, best_checkpoint=event)
        case CheckpointSaved():
            return replace(state, last_checkpoint=event)
        case EvaluationFinished():
            return replace(state, evaluations=(*state.evaluations, event))
        case ArtifactWritten():
            return replace(state, artifacts=(*state.artifacts, event))
        case Log() | Alarm():
            return replace(state, messages=(*state.messages, event)[-KEPT_MESSAGES:])
        case CommandAccepted() | CommandRejected():
            return replace(state, answers=(*state.answers, event)[-KEPT_ANSWERS:])
        case RunFinished():
            return replace(state, finished=event)
        case _:
            return state


def _started(state: RunState, event: RunStarted) -> RunState:
    """A resumed run forgets what lay beyond the position it resumes from."""
    position = event.resumed_from or Position(epoch=0, step=0)
    return replace(
        state,
        started=event,
        epochs=tuple(epoch for epoch in state.epochs if epoch.epoch <= position.epoch),
        last_checkpoint=_up_to(position, state.last_checkpoint),
        best_checkpoint=_up_to(position, state.best_checkpoint),
        evaluations=(),
        artifacts=(),
        finished=None,
    )


def _up_to(position: Position, saved: CheckpointSaved | None) -> CheckpointSaved | None:
    """A checkpoint unless it lies beyond."""
    if saved is None or (saved.position.epoch, saved.position.step) > (position.epoch, position.step):
        return None
    return saved
