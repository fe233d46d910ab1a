"""Evaluate a run again, from its saved weights, in a separate engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.contract.files.paths import absolute
from engine.contract.store.run_directory import RunDirectory, read_object, refuse_untrusted_entries
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Evaluate, EvaluateFeatures
from engine.contract.wire.protocol import AnyEvent, Ci95, EvaluationFinished, Metrics
from medtui.client.job import CLEANUP, do_job


@dataclass(frozen=True)
class LaterEvaluation:
    """A later evaluation, as recorded in its folder."""

    number: int
    folder: Path
    views: tuple[str, ...]
    auc: float
    acc: float
    auc_ci95: Ci95 | None  # None of those that were made before it was computed
    acc_ci95: Ci95 | None
    method: str  # in words: `20-NN`, `linear probe`; "" is the model's own scores


def evaluate_run(
    run: RunDirectory,
    workspace: Workspace,
    data: list[str],
    *,
    tta: bool | None,
    by: str,
    offline: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
    on_event: Callable[[AnyEvent], None] = lambda event: None,
) -> EvaluationFinished:
    """Evaluate the test split again. `tell`: called with every event. Raises the error that the job ended with."""
    refuse_untrusted_entries(run, "evaluated")  # the engine checks again; this check needs no engine
    root = str(absolute(run.root))
    start = Evaluate(id="start", by=by, run=root, tta=tta, data=data, offline=offline)
    return do_job(start, workspace, cancelled, on_event, CLEANUP).evaluations[-1]


def evaluate_features(
    run: RunDirectory,
    workspace: Workspace,
    data: list[str],
    method: Literal["knn", "probe"],
    neighbours: int | None,
    *,
    by: str,
    offline: bool = False,
    on_event: Callable[[AnyEvent], None] = lambda event: None,
) -> tuple[EvaluationFinished, EvaluationFinished]:
    """Validation and test split by the features of the run's model alone. Raises the error that the job ended with."""
    refuse_untrusted_entries(run, "evaluated")
    root = str(absolute(run.root))
    start = EvaluateFeatures(id="start", by=by, run=root, method=method, data=data, offline=offline)
    if neighbours is not None:
        start = start.model_copy(update={"neighbours": neighbours})
    validation, test = do_job(start, workspace, on_event=on_event, grace=CLEANUP).evaluations
    return validation, test


def later_evaluations(run: RunDirectory) -> list[LaterEvaluation]:
    """Those of `evaluations/`, oldest first; what cannot be read is skipped."""
    try:
        numbers = sorted(int(name) for name in run.evaluations.names() if name.isdecimal() and len(name) < 10)
    except OSError:
        return []
    found = []
    for number in numbers:
        folder = run.evaluations / str(number)
        values = read_object(folder / "evaluation.json")
        if values is not None:
            metrics, views = _metrics(values.get("metrics")), values.get("views")
            names = tuple(str(view) for view in views) if isinstance(views, list) else ()
            intervals = metrics.auc_ci95, metrics.acc_ci95
            method = describe_method(values.get("method"))
            found.append(LaterEvaluation(number, folder.path, names, metrics.auc, metrics.acc, *intervals, method))
    return found


def describe_method(values: Any) -> str:
    """What an evaluation used in place of the model's classifier: `20-NN`, `linear probe`; "" where nothing."""
    if not isinstance(values, dict):
        return ""
    if values.get("name") == "knn":
        return f"{values.get('neighbours')}-NN"
    return "linear probe" if values.get("name") == "probe" else str(values.get("name"))


def _metrics(values: Any) -> Metrics:
    try:
        return Metrics.model_validate(values)
    except ValueError:
        return Metrics(auc=math.nan, acc=math.nan, f1=math.nan)
