"""Runs as every front end lists and shows them."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.contract.run_directory import RunDirectory, list_runs, read_object
from engine.contract.status import RunSummary, Status, read_status
from medtui.client.intervals import Interval, intervals_of
from medtui.client.journal import replay
from medtui.client.keeping import Labels, read_labels
from medtui.client.liveness import is_alive, state_word


@dataclass(frozen=True)
class Head:
    """A run in one line. None is unknown."""

    run: str
    run_dir: Path
    started: str | None  # UTC, ISO 8601
    state: str
    dataset: str | None
    size: int | None  # pixels a side
    synthetic: bool
    limit: int | None  # images of each split that were used, of all when None
    model: str | None
    epochs_done: int | None
    epochs_planned: int | None
    validation_auc: float | None
    test_auc: float | None
    test_acc: float | None
    test_auc_between: Interval | None  # 95 %
    test_acc_between: Interval | None
    seconds: float | None  # that it worked: neither pauses nor the time between attempts count
    labels: Labels

    @property
    def comparable(self) -> bool:
        """Is it of the whole, real data set, as published results are?"""
        return not self.synthetic and self.limit is None

    @property
    def over(self) -> bool:
        """Can nothing change any more by itself?"""
        return self.state in ("completed", "stopped", "aborted", "failed", "crashed")

    @property
    def epochs(self) -> str:
        return f"{self.epochs_done}/{self.epochs_planned}" if self.epochs_done is not None else "?"

    def values(self) -> dict[str, Any]:
        """As `runs --json` prints it."""
        return {
            "run": self.run,
            "run_dir": str(self.run_dir),
            "started": self.started,
            "state": self.state,
            "dataset": self.dataset,
            "synthetic": self.synthetic,
            "limit": self.limit,
            "model": self.model,
            "epochs": self.epochs,
            "validation_auc": self.validation_auc,
            "test_auc": self.test_auc,
            "test_acc": self.test_acc,
            **asdict(self.labels),
        }


def head(run: RunDirectory) -> Head:
    """From manifest and status; what is damaged is None."""
    status, found = _status_and_summary(run)
    manifest = read_object(run.manifest) or {}
    started = manifest.get("started")
    started = started if isinstance(started, str) else None
    validation, test = found.validation, found.test
    auc_between, acc_between = intervals_of(found)
    return Head(
        run=run.name,
        run_dir=run.root,
        started=started,
        state=state_word(status),
        dataset=found.dataset,
        size=found.size,
        synthetic=found.synthetic,
        limit=found.limit,
        model=found.model,
        epochs_done=found.epochs_done if found.run else None,
        epochs_planned=found.epochs_planned,
        validation_auc=validation.auc if validation else None,
        test_auc=test.auc if test else None,
        test_acc=test.acc if test else None,
        test_auc_between=auc_between,
        test_acc_between=acc_between,
        seconds=found.worked,
        labels=read_labels(run),
    )


def heads(outputs: Path) -> list[Head]:
    """Every run of a workspace, oldest first."""
    return [head(run) for run in list_runs(outputs)]


Stamps = dict[str, tuple[int, int]]  # by folder: mtimes of heartbeat and labels, in ns


def stamps(outputs: Path) -> Stamps:
    """What changes when a run begins, goes on, ends, or is tagged. Cheap: for looking again and again."""
    try:
        folders = [entry.path for entry in os.scandir(outputs) if entry.is_dir()]
    except OSError:
        return {}
    runs = map(RunDirectory, map(Path, folders))
    return {run.name: (_mtime(run.status), _mtime(run.labels)) for run in runs}


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def summary(run: RunDirectory) -> dict[str, Any]:
    """The object that `show --json` prints; paths made whole, for the place where the run lies now."""
    status, found = _status_and_summary(run)
    state = state_word(status) if status else (found.outcome or "unreadable")
    shown = found.model_dump()
    shown |= {"run": run.name, "run_dir": str(run.root), "state": state, **asdict(read_labels(run))}
    if state == "crashed":
        shown["outcome"] = "crashed"
    shown["artifacts"] = {name: str(run.root / path) for name, path in found.artifacts.items()}
    return shown


def _status_and_summary(run: RunDirectory) -> tuple[Status | None, RunSummary]:
    """The heartbeat, and the summary: the heartbeat's own when the run has ended or lives, else the journal's.

    An engine that was killed may have journaled more than its last heartbeat told, or worked on after its last event.
    """
    status = read_status(run)
    if status is not None and (status.outcome is not None or is_alive(status)):
        return status, RunSummary(**{name: getattr(status, name) for name in RunSummary.model_fields})
    try:
        found = replay(run.journal).summary
    except OSError:
        return status, RunSummary()
    both = (found.worked, status.worked if status is not None else None)
    worked = [seconds for seconds in both if seconds is not None]
    return status, found.model_copy(update={"worked": max(worked, default=None)})
