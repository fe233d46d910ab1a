"""Evaluate a run again, from its saved weights, in an engine of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract.protocol import AnyEvent, EvaluationFinished, Metrics, Start
from engine.contract.run_directory import RunDirectory, read_object
from engine.contract.workspace import Workspace
from medtui.client.job import TIDYING, do_job


@dataclass(frozen=True)
class Later:
    """A later evaluation, as its folder tells of it."""

    number: int
    folder: Path
    views: tuple[str, ...]
    auc: float
    acc: float


def evaluate_run(
    run: RunDirectory,
    workspace: Workspace,
    data: list[str],
    *,
    tta: bool | None,
    by: str,
    offline: bool = False,
    given_up: Callable[[], bool] = lambda: False,
    tell: Callable[[AnyEvent], None] = lambda event: None,
) -> EvaluationFinished:
    """The test split once more. `tell`: called with every event. Raises the error that the job ended with."""
    root = str(run.root.resolve())
    start = Start(id="start", by=by, job="evaluate", run=root, tta=tta, data=data, offline=offline)
    return do_job(start, workspace, given_up, tell, TIDYING).evaluations[-1]


def later_evaluations(run: RunDirectory) -> list[Later]:
    """Those of `evaluations/`, oldest first; what cannot be read is passed over."""
    try:
        numbers = sorted(int(folder.name) for folder in run.evaluations.iterdir() if folder.name.isdecimal())
    except OSError:
        return []
    found = []
    for number in numbers:
        folder = run.evaluations / str(number)
        values = read_object(folder / "evaluation.json")
        if values is not None:
            metrics, views = values.get("metrics"), values.get("views")
            names = tuple(str(view) for view in views) if isinstance(views, list) else ()
            found.append(Later(number, folder, names, _number(metrics, "auc"), _number(metrics, "acc")))
    return found


def _number(metrics: Any, name: str) -> float:
    try:
        return float(getattr(Metrics.model_validate(metrics), name))
    except ValueError:
        return math.nan
