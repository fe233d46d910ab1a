"""A run at one glance: `RunSummary`, folded from its events, and `Status`, the heartbeat file made of it."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError

from engine.contract.machine.scheduler import SchedulerJob
from engine.contract.store.growing import Growing
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.starting_weights import starting_weights
from engine.contract.wire.message import Message, SafeInt
from engine.contract.wire.monitor import Monitor
from engine.contract.wire.protocol import (
    AnyEvent,
    ArtifactWritten,
    ClassMetrics,
    EpochFinished,
    EvaluationFinished,
    Hello,
    Metrics,
    Outcome,
    Phase,
    PhaseChanged,
    Progress,
    Resources,
    RunFinished,
    RunStarted,
    Time,
)
from engine.contract.wire.resolved import Resolved

WORKING: tuple[Phase, ...] = ("training", "evaluating", "reporting")


class BestEpoch(NamedTuple):
    """An epoch that was the best when it ended."""

    epoch: int
    validation: Metrics
    per_class: list[ClassMetrics]


class RunSummary(Message):
    """What `show --json` prints. Paths are within the run directory; `show` resolves them."""

    run: str | None = None
    run_dir: str | None = None
    outcome: Outcome | None = None  # None while it runs, or when it ended without reporting
    recipe_hash: str | None = None
    resolved_hash: str | None = None
    resolved: Resolved | None = None  # what every `auto` became
    dataset: str | None = None
    size: int | None = None  # pixels per side
    input_size: int | None = None  # the same, that images are enlarged to for the model; None where they are not
    task: str | None = None
    images: dict[str, int] = {}  # per split, of those that are used
    synthetic: bool = False
    limit: SafeInt | None = None  # images of each split that were used, of all when None
    model: str | None = None
    weights: str | None = None  # what it started from: `ImageNet`, `from scratch`, `run NAME`
    epochs_planned: SafeInt | None = None
    epochs_done: SafeInt = 0
    monitor: Monitor = "auc"  # what of the validation split decides which epoch is the best
    best_epoch: SafeInt | None = None
    validation: Metrics | None = None  # of the best epoch
    test: Metrics | None = None
    per_class: list[ClassMetrics] = []  # of the test split, of the best epoch's validation before that
    artifacts: dict[str, str] = {}
    drift: list[str] = []  # what changed between attempts
    worked: float | None = None  # seconds; neither pauses nor the time between attempts count
    bests: Annotated[Growing[BestEpoch], Field(exclude=True)] = Growing()  # for the fold, not written
    since: Annotated[float | None, Field(exclude=True)] = None  # up to when `worked` counts; None while it does not run

    def worked_at(self, at: float) -> float | None:
        """`worked` at a time (Unix seconds) after the newest event."""
        if self.worked is None or self.since is None:
            return self.worked
        return self.worked + stretch if 0 < (stretch := at - self.since) < math.inf else self.worked


def fold_summary(summary: RunSummary, event: AnyEvent) -> RunSummary:
    """The summary after one more state event. Pure."""
    worked, since = _time_of(summary, event)
    started = _started(summary, event) if isinstance(event, RunStarted) else summary
    return started.model_copy(update={"worked": worked, "since": since} | _changes_of(summary, event))


def _time_of(summary: RunSummary, event: AnyEvent) -> tuple[float | None, float | None]:
    """`worked` and `since` after an event."""
    if isinstance(event, RunStarted):
        return summary.worked or 0.0, event.time
    if isinstance(event, Hello):  # a new engine: no work since the last event of the one before
        return summary.worked, None
    worked, continues = summary.worked_at(event.time), summary.since is not None
    if isinstance(event, PhaseChanged):
        continues = worked is not None and event.phase in WORKING
    return worked, event.time if continues and not isinstance(event, RunFinished) else None


def _changes_of(summary: RunSummary, event: AnyEvent) -> dict[str, Any]:
    """What an event changes."""
    if isinstance(event, EpochFinished):
        return _epoch(summary, event)
    if isinstance(event, EvaluationFinished):
        name = "test" if event.split == "test" else "validation"
        return {name: event.metrics, "per_class": event.per_class}
    if isinstance(event, ArtifactWritten):
        return {"artifacts": {**summary.artifacts, event.name: event.path}}
    if isinstance(event, RunFinished):
        return {"outcome": event.outcome}
    return {}


def _started(summary: RunSummary, event: RunStarted) -> RunSummary:
    facts = {
        "run": event.run,
        "run_dir": event.run_dir,
        "outcome": None,
        "recipe_hash": event.recipe_hash,
        "resolved_hash": event.resolved_hash,
        "resolved": event.resolved,
        "dataset": event.dataset,
        "size": event.size,
        "input_size": event.input_size,
        "task": event.task,
        "images": event.images,
        "synthetic": event.synthetic,
        "limit": event.limit,
        "model": event.model,
        "weights": starting_weights(event.decisions),
        "epochs_planned": event.epochs,
        "monitor": event.monitor,
        "drift": event.drift,
    }
    if event.resumed_from is None:
        return RunSummary.model_validate(facts)
    # a resumed run forgets what lay beyond the position it resumes from
    kept = len(summary.bests)
    while kept and summary.bests[kept - 1].epoch > event.resumed_from.epoch:
        kept -= 1
    known = {"epochs_done": event.resumed_from.epoch} | _best_of(summary.bests.first(kept))
    return RunSummary.model_validate(facts | known)


def _epoch(summary: RunSummary, event: EpochFinished) -> dict[str, Any]:
    update: dict[str, Any] = {"epochs_done": event.epoch}
    if event.best:
        best = BestEpoch(epoch=event.epoch, validation=event.validation, per_class=event.per_class)
        update |= _best_of(summary.bests.added(best))
    return update


def _best_of(bests: Growing[BestEpoch]) -> dict[str, Any]:
    best = bests.last
    if best is None:
        return {}
    return {
        "bests": bests,
        "best_epoch": best.epoch,
        "validation": best.validation,
        "per_class": best.per_class,
    }


class Status(RunSummary):
    """`status.json`: a heartbeat, and all that a run list or an attaching reader needs at first sight."""

    engine: str
    host: str
    boot: str
    pid: SafeInt
    started: float  # start of the engine's process, as `start_of` returns it
    scheduler: SchedulerJob | None = None  # the cluster job that the engine belongs to
    updated: Time  # the heartbeat
    phase: Phase
    seq: SafeInt
    progress: Progress | None = None
    resources: Resources | None = None
    curve: list[tuple[SafeInt, float]] = []  # of the running epoch, at most 100 points


def read_status(run: RunDirectory) -> Status | None:
    """The status of a run; None when it is missing, damaged or hostile."""
    try:
        return Status.model_validate_json(run.status.content())
    except (OSError, ValidationError, json.JSONDecodeError):
        return None
