"""What a tracker is given of a run: a fold over its events that makes the same records each time it reads them.

Numbers, times and order are the journal's, nothing is taken from the clock. A tracker that was killed, or starts late,
can therefore compare what a tool already holds with what it should hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.contract.wire.protocol import (
    AnyEvent,
    ArtifactWritten,
    EpochFinished,
    EvaluationFinished,
    Hello,
    Metrics,
    Outcome,
    RunFinished,
    RunStarted,
)

Axis = Literal["epoch", "step"]
WEIGHTS = "best"  # the artifact with the weights of the best epoch
OF_STEPS = "step/train_loss"  # other values are named as in `history.csv`, with the slash that tools group by


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run when it starts."""

    key: str  # of this run alone, whatever it is called: the id of its first engine
    name: str
    time: float  # Unix seconds of its first start
    started: RunStarted
    recipe: Mapping[str, Any]  # sections with their fields

    @property
    def parameters(self) -> dict[str, Any]:
        """The recipe's fields by their dotted names."""
        return {
            f"{section}.{name}": value
            for section, fields in self.recipe.items()
            if isinstance(fields, Mapping)
            for name, value in fields.items()
        }

    @property
    def tags(self) -> dict[str, str]:
        """What is not in the recipe."""
        started = self.started
        found = {
            "recipe_hash": started.recipe_hash,
            "resolved_hash": started.resolved_hash,
            "dataset": started.dataset,
            "model": started.model,
            "parameters": started.parameters,
            "device": started.device,
            "run_dir": started.run_dir,
        }
        return {name: str(value) for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Row:
    """Values at one position: after an epoch, or after a step of the run."""

    number: int  # from 0, over all rows of the run
    axis: Axis
    at: int  # the epoch, from 1, or how many steps are done
    values: Mapping[str, float]
    time: float  # Unix seconds


@dataclass(frozen=True)
class Artifact:
    name: str
    path: str  # within the run directory
    epoch: int  # how many were done
    time: float


@dataclass(frozen=True)
class End:
    """How an attempt ended. There may be more than one: a run can be resumed."""

    outcome: Outcome
    time: float
    error: str = ""


Record = Row | Artifact | End


class Records:
    """The fold. Epochs that a resumed run trains again are records only where their results differ."""

    def __init__(self) -> None:
        self.hello: Hello | None = None  # the first
        self.first: RunStarted | None = None
        self.end: End | None = None  # of the newest attempt, if it has ended
        self._rows = 0
        self.epoch = 0  # the newest that is done
        self._time = 0.0  # of the newest event
        self._running = False
        self._seen: dict[tuple[str, int], int] = {}

    def of(self, event: AnyEvent) -> Iterator[Record]:
        if self._running and isinstance(event, Hello | RunStarted):  # the engine before it died without reporting
            yield self._ended(End("crashed", self._time))
        match event:
            case Hello():
                self.hello = self.hello or event
            case RunStarted():
                self.first, self.end, self._running = self.first or event, None, True
            case EpochFinished():
                self.epoch = event.epoch
                if self._is_new("epoch", event.epoch, _results(event)):
                    yield from self._rows_of(event)
            case EvaluationFinished():
                if self._is_new(event.split, self.epoch, event.metrics):
                    split = "final_val" if event.split == "val" else event.split  # an epoch has values of that name
                    values = _metrics(split, event.metrics)
                    yield self._row("epoch", self.epoch, values, event.time)
            case ArtifactWritten():
                yield Artifact(event.name, event.path, self.epoch, event.time)
            case RunFinished():
                yield self._ended(End(event.outcome, event.time, event.error.message if event.error else ""))
        self._time = event.time if event.seq is not None else self._time

    def unreported_end(self, finished: RunFinished) -> Iterator[Record]:
        """That of a run that is over, where its journal does not tell."""
        if self._running:
            yield self._ended(End(finished.outcome, self._time))

    def _ended(self, end: End) -> End:
        self.end, self._running = end, False
        return end

    def _rows_of(self, event: EpochFinished) -> Iterator[Row]:
        for step, loss in event.curve:
            yield self._row("step", step, {OF_STEPS: loss}, event.time)
        values = {"train/loss": event.train_loss, "train/acc": event.train_acc, "lr": event.lr}
        values |= _metrics("val", event.validation)
        values |= {"time/epoch_seconds": event.seconds, "time/images_per_second": event.images_per_second}
        yield self._row("epoch", event.epoch, values, event.time)

    def _row(self, axis: Axis, at: int, values: Mapping[str, float], time: float) -> Row:
        self._rows += 1
        return Row(self._rows - 1, axis, at, values, time)

    def _is_new(self, kind: str, at: int, results: object) -> bool:
        """Are these results others than before at this position?"""
        found = hash(repr(results))  # in this process alone
        is_new = self._seen.get((kind, at)) != found
        self._seen[kind, at] = found
        return is_new


def _results(event: EpochFinished) -> object:
    """What a resumed run must give again; not when, nor how fast."""
    return event.lr, event.train_loss, event.train_acc, event.validation, event.curve


def _metrics(split: str, metrics: Metrics) -> dict[str, float]:
    """Those that are known. NaN, which is undefined, stays."""
    values = {"loss": metrics.loss, "auc": metrics.auc, "acc": metrics.acc, "f1": metrics.f1}
    return {f"{split}/{name}": value for name, value in values.items() if value is not None}
