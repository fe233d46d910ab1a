"""What the ROC and reliability figures show, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.report.content import RunReport

BINS = 15  # as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017


@dataclass(frozen=True)
class Calibration:
    """Confidence against accuracy, in equally wide bins of [0, 1]."""

    counts: np.ndarray  # int64 [BINS]
    confidence: np.ndarray  # float [BINS], mean; NaN where a bin is empty
    accuracy: np.ndarray  # float [BINS], fraction that is correct; NaN where a bin is empty
    error: float  # expected calibration error: count-weighted mean of |accuracy - confidence|; NaN without counts


def calibration(confidence: np.ndarray, correct: np.ndarray) -> Calibration:
    """confidence: float [N] in 0..1, what is not finite is left out. correct: bool [N]."""
    finite = np.isfinite(confidence)
    confidence, correct = confidence[finite].astype(np.float64), correct[finite]
    # Right-closed bins, ((b-1)/BINS, b/BINS], as in the paper; 0 falls into the first.
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    divisor = np.where(counts, counts, 1)
    mean = np.where(counts, np.bincount(bins, confidence, BINS) / divisor, np.nan)
    fraction = np.where(counts, np.bincount(bins, correct, BINS) / divisor, np.nan)
    error = float(np.nansum(counts * np.abs(fraction - mean)) / counts.sum()) if counts.any() else float("nan")
    return Calibration(counts, mean, fraction, error)


def confidence_and_outcome(report: RunReport) -> tuple[np.ndarray, np.ndarray]:
    """float [M], bool [M]: the score of the predicted class and whether it was correct, one per image (M = N).

    For multi-label the score of every label and whether it is set, all labels together (M = N·K).
    """
    if report.task == "multi_label":
        return report.scores.ravel(), report.labels.astype(bool).ravel()
    predicted = report.predictions
    return report.scores[np.arange(len(predicted)), predicted], predicted == report.labels


def roc_points(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """False and true positive rate, float [T] each, from (0, 0) to (1, 1); equal scores are one threshold.

    truth: bool [N]. scores: [N]. None where only one kind is present or a score is not finite.
    """
    if truth.all() or not truth.any() or not np.isfinite(scores).all():
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of each run of equal scores
    hits = np.cumsum(truth[order])[last]
    alarms = last + 1 - hits
    return np.append(0, alarms) / alarms[-1], np.append(0, hits) / hits[-1]


def one_against_rest(labels: np.ndarray, k: int) -> np.ndarray:
    """bool [N]: is it class k, or is label k set?"""
    return labels[:, k].astype(bool) if labels.ndim == 2 else labels == k
