"""`RunHistory`: what the rules read of a run, a pure fold over its state events. Small: one point per epoch."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import NamedTuple

from engine.contract.files.folders import FileOrPath
from engine.contract.store.growing import Growing
from engine.contract.store.journal import read_journal
from engine.contract.wire.protocol import Alarm, AnyEvent, ClassMetrics, EpochFinished, Position, RunStarted

RECENT = 3  # epochs whose per-class values are kept


class EpochPoint(NamedTuple):
    """One epoch. NaN where a value is undefined or was not written."""

    epoch: int  # from 1
    lr: float
    train_loss: float
    peak_loss: float  # the highest point of its loss curve
    val_loss: float
    val_auc: float
    pace: float  # images per second
    seconds: float  # in training steps
    without_improvement: int  # epochs


@dataclass(frozen=True)
class RunHistory:
    started: RunStarted | None = None
    points: Growing[EpochPoint] = field(default_factory=Growing)  # by epoch, each once
    classes: tuple[tuple[ClassMetrics, ...], ...] = ()  # validation, of the last `RECENT` epochs, oldest first
    alarms: tuple[Alarm, ...] = ()  # of this attempt, the first of each kind
    undefined: str = ""  # why the newest epoch without a validation AUC has none

    @property
    def planned(self) -> int:
        """Epochs; 0 while unknown."""
        return self.started.epochs if self.started is not None else 0

    def alarm(self, kind: str) -> Alarm | None:
        return next((alarm for alarm in self.alarms if alarm.kind == kind), None)


def fold_history(history: RunHistory, event: AnyEvent) -> RunHistory:
    """The history after one more state event. Pure."""
    if isinstance(event, EpochFinished):
        return _after_epoch(history, event)
    if isinstance(event, RunStarted):
        return _after_start(history, event)
    if isinstance(event, Alarm) and history.alarm(event.kind) is None:
        return replace(history, alarms=(*history.alarms, event))
    return history


def history_from(journal: FileOrPath) -> RunHistory:
    """Of a run's journal. Raises OSError."""
    return reduce(fold_history, read_journal(journal), RunHistory())


def _after_epoch(history: RunHistory, event: EpochFinished) -> RunHistory:
    validation = event.validation
    point = EpochPoint(
        event.epoch,
        event.lr,
        event.train_loss,
        max((loss for _, loss in event.curve), default=math.nan),
        math.nan if validation.loss is None else validation.loss,
        validation.auc,
        event.images_per_second,
        event.seconds,
        event.without_improvement,
    )
    kept = _before(history.points, event.epoch)
    recent = history.classes if kept is history.points else ()
    undefined = history.undefined
    if math.isnan(validation.auc):
        undefined = validation.reasons.get("auc", "it is not a number")
    return replace(
        history,
        points=kept.added(point),
        classes=(*recent, tuple(event.per_class))[-RECENT:],
        undefined=undefined,
    )


def _after_start(history: RunHistory, event: RunStarted) -> RunHistory:
    """A resumed run forgets what lay beyond the position it resumes from."""
    position = event.resumed_from or Position(epoch=0, step=0)
    points = _before(history.points, position.epoch + 1)
    same = points is history.points
    return RunHistory(event, points, history.classes if same else (), undefined=history.undefined if same else "")


def _before(points: Growing[EpochPoint], epoch: int) -> Growing[EpochPoint]:
    last = points.last
    if last is None or last.epoch < epoch:  # as it nearly always is
        return points
    return points.first(bisect_left(points, epoch, key=_number))


def _number(point: EpochPoint) -> int:
    return point.epoch
