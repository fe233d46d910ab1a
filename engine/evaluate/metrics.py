"""Metrics of scores. AUC and ACC are the official MedMNIST evaluator's (medmnist/evaluator.py), task by task.

What is undefined is NaN with a reason, never 0: an AUC of a class that is absent or that every image has, a precision
where nothing was predicted. Means go over the defined classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.contract.data.datasets import THRESHOLD, TaskKind
from engine.contract.wire.protocol import ClassMetrics, Metrics
from engine.evaluate.intervals import class_auc_ci95, mean_auc_ci95, wilson


@dataclass(frozen=True)
class Evaluated:
    metrics: Metrics
    per_class: list[ClassMetrics]
    confusion: np.ndarray  # int64 [K, K], rows true, columns predicted; [K, 2, 2] for multi-label


def evaluate(labels: np.ndarray, scores: np.ndarray, task: TaskKind, class_names: Sequence[str]) -> Evaluated:
    """All metrics of a split.

    labels: int64 [N], or [N, K] of zeros and ones for multi-label. scores: [N, K].
    """
    truth = one_against_rest(labels, len(class_names))
    predicted = predictions(scores, task)
    decided = predicted if task == "multi_label" else one_against_rest(predicted, len(class_names))
    aucs = class_aucs(truth, scores, task)
    per_class = [_class_metrics(name, truth[:, k], decided[:, k], aucs[k]) for k, name in enumerate(class_names)]
    auc, reasons = _overall_auc(truth, scores, task, aucs, class_names)
    f1 = _mean([row.f1 for row in per_class])
    if math.isnan(f1):
        reasons["f1"] = "no class is present or predicted"
    metrics = Metrics(
        loss=log_loss(labels, scores, task), auc=auc, acc=accuracy(labels, predicted), f1=f1, reasons=reasons
    )
    return Evaluated(metrics, per_class, confusion(labels, predicted, task, len(class_names)))


def evaluate_with_ci95(labels: np.ndarray, scores: np.ndarray, task: TaskKind, class_names: Sequence[str]) -> Evaluated:
    """As `evaluate`, with the 95 % intervals of AUC and ACC: for a split that is evaluated once, not every epoch."""
    found = evaluate(labels, scores, task, class_names)
    truth = one_against_rest(labels, len(class_names))
    if task == "binary":  # one AUC, of the last class; undefined, as that is, where any score is not finite
        auc = class_auc_ci95(truth[:, -1:], scores[:, -1:])[0] if np.isfinite(scores).all() else None
        of_classes = [auc] * len(class_names)
    else:
        auc, of_classes = mean_auc_ci95(truth, scores), class_auc_ci95(truth, scores)
    acc = None if task == "multi_label" else wilson(found.metrics.acc, len(labels))
    metrics = found.metrics.model_copy(update={"auc_ci95": auc, "acc_ci95": acc})
    rows = [
        row.model_copy(update={"auc_ci95": interval}) for row, interval in zip(found.per_class, of_classes, strict=True)
    ]
    return replace(found, metrics=metrics, per_class=rows)


def one_against_rest(labels: np.ndarray, classes: int) -> np.ndarray:
    """bool [N, K]"""
    return labels.astype(bool) if labels.ndim == 2 else labels[:, None] == np.arange(classes)


def predictions(scores: np.ndarray, task: TaskKind) -> np.ndarray:
    """What the official ACC counts: int64 [N], or bool [N, K] for multi-label."""
    if task == "multi_label":
        return scores > THRESHOLD
    if task == "binary":
        return (scores[:, -1] > THRESHOLD).astype(np.int64)
    return scores.argmax(axis=1)


def accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Fraction of correct predictions; for multi-label the mean over all labels."""
    return float(np.mean(labels == predicted)) if len(labels) else math.nan


def class_aucs(truth: np.ndarray, scores: np.ndarray, task: TaskKind) -> list[float]:
    """The AUC of each class against the rest. The two of a binary set are one, by definition, as its scores are s and
    1 - s; computed from both columns they differ where rounding makes ties in one of them only."""
    if task == "binary":
        auc = area_under_curve(truth[:, -1], scores[:, -1]) if np.isfinite(scores).all() else math.nan
        return [auc] * truth.shape[1]
    return [area_under_curve(truth[:, k], scores[:, k]) for k in range(truth.shape[1])]


def area_under_curve(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve of one class; NaN where only one kind is present or a score is not finite.

    By the trapezoidal rule over the corners of the curve: to the last bit scikit-learn's `roc_auc_score`, which takes
    milliseconds per class of every epoch to check its arguments.
    """
    if truth.all() or not truth.any() or not np.isfinite(scores).all():
        return math.nan
    order = np.argsort(scores)[::-1]
    ordered = scores[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)  # of equal scores
    hits = np.cumsum(truth[order])[ends]
    curve = np.stack([1 + ends - hits, hits])  # false and true positives from each threshold up
    corners = np.ones(curve.shape[1], dtype=bool)
    corners[1:-1] = np.diff(curve, 2).any(axis=0)
    false, true = np.pad(curve[:, corners], ((0, 0), (1, 0))) / curve[:, -1:]
    return float(np.trapezoid(true, false))


def _overall_auc(
    truth: np.ndarray, scores: np.ndarray, task: TaskKind, aucs: Sequence[float], names: Sequence[str]
) -> tuple[float, dict[str, str]]:
    """The official AUC: of the last class for binary sets, else the mean over the classes."""
    if not np.isfinite(scores).all():
        return math.nan, {"auc": "a score is not finite"}
    if task == "binary":
        auc = aucs[-1]
        return auc, {"auc": "only one class is present"} if math.isnan(auc) else {}
    absent = [name for name, auc in zip(names, aucs, strict=True) if math.isnan(auc)]
    if not absent:
        return sum(aucs) / len(aucs), {}
    if len(absent) == len(aucs):
        return math.nan, {"auc": "only one class is present"}
    return _mean(aucs), {
        "auc": f"mean over the {len(aucs) - len(absent)} defined classes; absent: {', '.join(absent)[:200]}"
    }


def _class_metrics(name: str, truth: np.ndarray, predicted: np.ndarray, auc: float) -> ClassMetrics:
    hits = int((truth & predicted).sum())
    support, claimed = int(truth.sum()), int(predicted.sum())
    return ClassMetrics(
        name=name,
        recall=hits / support if support else math.nan,
        precision=hits / claimed if claimed else math.nan,
        f1=2 * hits / (support + claimed) if support + claimed else math.nan,
        auc=auc,
        support=support,
    )


def log_loss(labels: np.ndarray, scores: np.ndarray, task: TaskKind) -> float:
    """Mean cross-entropy in nats, scores clipped to 1e-7; for multi-label the mean over labels too."""
    clipped = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    if task == "multi_label":
        return float(-np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped))))
    return float(-np.mean(np.log(clipped[np.arange(len(labels)), labels])))


def confusion(labels: np.ndarray, predicted: np.ndarray, task: TaskKind, classes: int) -> np.ndarray:
    """int64 [K, K], rows true, columns predicted; for multi-label one 2×2 table per label."""
    if task == "multi_label":
        cells = 2 * labels.astype(np.int64) + predicted.astype(np.int64)
        return np.stack([np.bincount(cells[:, k], minlength=4).reshape(2, 2) for k in range(classes)])
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def _mean(values: Sequence[float]) -> float:
    """Over the defined ones."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
