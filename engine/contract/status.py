"""A run at one glance: `RunSummary`, folded from its events, and `Status`, the heartbeat file made of it."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

from pydantic import Field, ValidationError

from engine.contract.files import read_bounded
from engine.contract.protocol import (
    AnyEvent,
    ArtifactWritten,
    ClassMetrics,
    EpochFinished,
    EvaluationFinished,
    Hello,
    Message,
    Metrics,
    Outcome,
    Phase,
    PhaseChanged,
    Progress,
    Resources,
    RunFinished,
    RunStarted,
    Time,
    Whole,
)
from engine.contract.run_directory import RunDirectory
from engine.contract.scheduler import SchedulerJob

WORKING: tuple[Phase, ...] = ("training", "evaluating", "reporting")


class BestEpoch(Message):
    """An epoch that was the best when it ended."""

    epoch: Whole
    validation: Metrics
    per_class: list[ClassMetrics]


class RunSummary(Message):
    """What `show --json` prints. Paths are within the run directory; `show` makes them whole."""

    run: str | None = None
    run_dir: str | None = None
    outcome: Outcome | None = None  # None while it runs, or when it ended without a word
    recipe_hash: str | None = None
    dataset: str | None = None
    size: int | None = None  # pixels a side
    task: str | None = None
    images: dict[str, int] = {}  # a split, of those that are used
    synthetic: bool = False
    limit: Whole | None = None  # images of each split that were used, of all when None
    model: str | None = None
    epochs_planned: Whole | None = None
    epochs_done: Whole = 0
    best_epoch: Whole | None = None
    validation: Metrics | None = None  # of the best epoch
    test: Metrics | None = None
    per_class: list[ClassMetrics] = []  # of the test split, of the best epoch's validation before that
    artifacts: dict[str, str] = {}
    drift: list[str] = []  # what changed between attempts
    worked: float | None = None  # seconds; neither pauses nor the time between attempts count
    bests: Annotated[list[BestEpoch], Field(exclude=True)] = []  # one after the other; for the fold, not written
    since: Annotated[float | None, Field(exclude=True)] = None  # up to when `worked` counts; None while it stands still

    def worked_at(self, at: float) -> float | None:
        """`worked` at a time (Unix seconds) after the newest event."""
        if self.worked is None or self.since is None:
            return self.worked
        return self.worked + stretch if 0 < (stretch := at - self.since) < math.inf else self.worked


def fold_summary(summary: RunSummary, event: AnyEvent) -> RunSummary:
    """The summary after one more state event. Pure."""
    worked, since = _time_of(summary, event)
    return _told(summary, event).model_copy(update={"worked": worked, "since": since})


def _time_of(summary: RunSummary, event: AnyEvent) -> tuple[float | None, float | None]:
    """`worked` and `since` after an event."""
    if isinstance(event, RunStarted):
        return summary.worked or 0.0, event.time
    if isinstance(event, Hello):  # a new engine: nobody worked since the last word of the one before
        return summary.worked, None
    worked, goes_on = summary.worked_at(event.time), summary.since is not None
    if isinstance(event, PhaseChanged):
        goes_on = worked is not None and event.phase in WORKING
    return worked, event.time if goes_on and not isinstance(event, RunFinished) else None


def _told(summary: RunSummary, event: AnyEvent) -> RunSummary:
    if isinstance(event, RunStarted):
        return _started(summary, event)
    if isinstance(event, EpochFinished):
        return _epoch(summary, event)
    if isinstance(event, EvaluationFinished):
        name = "test" if event.split == "test" else "validation"
        return summary.model_copy(update={name: event.metrics, "per_class": event.per_class})
    if isinstance(event, ArtifactWritten):
        return summary.model_copy(update={"artifacts": {**summary.artifacts, event.name: event.path}})
    if isinstance(event, RunFinished):
        return summary.model_copy(update={"outcome": event.outcome})
    return summary


def _started(summary: RunSummary, event: RunStarted) -> RunSummary:
    facts = {
        "run": event.run,
        "run_dir": event.run_dir,
        "outcome": None,
        "recipe_hash": event.recipe_hash,
        "dataset": event.dataset,
        "size": event.size,
        "task": event.task,
        "images": event.images,
        "synthetic": event.synthetic,
        "limit": event.limit,
        "model": event.model,
        "epochs_planned": event.epochs,
        "drift": event.drift,
    }
    if event.resumed_from is None:
        return RunSummary.model_validate(facts)
    # a resumed run forgets what lay beyond the position it resumes from
    kept = [best for best in summary.bests if best.epoch <= event.resumed_from.epoch]
    return RunSummary.model_validate(facts | {"epochs_done": event.resumed_from.epoch} | _best_of(kept))


def _epoch(summary: RunSummary, event: EpochFinished) -> RunSummary:
    update: dict[str, Any] = {"epochs_done": event.epoch}
    if event.best:
        best = BestEpoch(epoch=event.epoch, validation=event.validation, per_class=event.per_class)
        update |= _best_of([*summary.bests, best])
    return summary.model_copy(update=update)


def _best_of(bests: list[BestEpoch]) -> dict[str, Any]:
    if not bests:
        return {}
    best = bests[-1]
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
    pid: Whole
    started: float  # start of the engine's process, as `start_of` tells it
    scheduler: SchedulerJob | None = None  # the cluster job that the engine belongs to
    updated: Time  # the heartbeat
    phase: Phase
    seq: Whole
    progress: Progress | None = None
    resources: Resources | None = None
    curve: list[tuple[Whole, float]] = []  # of the running epoch, at most 100 points


def read_status(run: RunDirectory) -> Status | None:
    """The status of a run; None when it is missing, damaged or hostile."""
    try:
        return Status.model_validate_json(read_bounded(run.status))
    except (OSError, ValidationError, json.JSONDecodeError):
        return None
