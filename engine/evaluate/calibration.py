"""Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017): one number, fitted on the
validation split, that makes scores as certain as they are right. The order of the classes, and so the prediction,
stays as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.contract.data.datasets import TaskKind
from engine.contract.sentence import Sentence
from engine.sentences import Uncalibrated

LOWEST, HIGHEST = 0.05, 20.0  # temperatures; beyond them a few validation images would decide everything
FEWEST = 30  # validation images; of fewer the temperature is one of chance
_NEAR = 1.01  # a temperature within this factor of a limit would lie beyond it
_TINY = 1e-12  # a score below it counts as this much: float32 knows no smaller difference from 1
_HALVINGS = 60


@dataclass(frozen=True)
class Temperature:
    value: float
    nll_before: float  # nats per image, or per label for multi-label
    nll_after: float


class NoTemperature(Exception):
    """Says why none was fitted, in a sentence."""


def fit_temperature(labels: np.ndarray, scores: np.ndarray, task: TaskKind) -> Temperature:
    """The temperature with the lowest negative log-likelihood. Raises NoTemperature where the images define none.

    labels: int64 [N], or [N, K] of zeros and ones for multi-label. scores: [N, K].
    The likelihood is concave in 1/T, so the root of its derivative is found by bisection.
    """
    if len(scores) < FEWEST:
        raise _none(Uncalibrated.FEW, images=len(scores), fewest=FEWEST)
    if not np.isfinite(scores).all():
        raise _none(Uncalibrated.NOT_FINITE)
    logits = _logits(scores, task)
    truth = labels.astype(np.float64) if task == "multi_label" else np.eye(scores.shape[1])[labels]
    if _all_right(logits, truth, task):  # then the surest is the likeliest, without end
        raise _none(Uncalibrated.ALL_RIGHT, images=len(scores))

    def slope(sharpness: float) -> float:
        """Of the negative log-likelihood, by 1/T."""
        return float(np.sum((_activated(sharpness * logits, task) - truth) * logits))

    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    value = 2 / (low + high)
    if not LOWEST * _NEAR < value < HIGHEST / _NEAR:
        raise _none(Uncalibrated.BEYOND, images=len(scores), lowest=LOWEST, highest=HIGHEST)
    return Temperature(value, _nll(truth, scores, task), _nll(truth, calibrated(scores, value, task), task))


def calibrated(scores: np.ndarray, temperature: float, task: TaskKind) -> np.ndarray:
    """Scores float64 [N, K] at this temperature: softmax, or one sigmoid per label, of their logits divided by it."""
    return _activated(_logits(scores, task) / temperature, task)


def _none(sentence: Sentence, **fields: object) -> NoTemperature:
    return NoTemperature(sentence.text(**fields)[0])


def _all_right(logits: np.ndarray, truth: np.ndarray, task: TaskKind) -> bool:
    chosen = logits > 0 if task == "multi_label" else logits == logits.max(axis=1, keepdims=True)
    return bool((chosen == (truth > 0)).all())


def _logits(scores: np.ndarray, task: TaskKind) -> np.ndarray:
    """float64 [N, K], up to a constant per image where they are a softmax's."""
    clipped = np.maximum(scores.astype(np.float64), _TINY)
    if task != "multi_label":
        return np.log(clipped)
    return np.log(clipped) - np.log(np.maximum(1.0 - scores.astype(np.float64), _TINY))


def _activated(logits: np.ndarray, task: TaskKind) -> np.ndarray:
    if task == "multi_label":
        return 0.5 * (1.0 + np.tanh(logits / 2))  # a sigmoid that cannot overflow
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _nll(truth: np.ndarray, scores: np.ndarray, task: TaskKind) -> float:
    values = scores.astype(np.float64)
    found = truth * np.log(np.maximum(values, _TINY))
    if task == "multi_label":
        return float(-np.mean(found + (1 - truth) * np.log(np.maximum(1 - values, _TINY))))
    return float(-np.sum(found) / len(values))
