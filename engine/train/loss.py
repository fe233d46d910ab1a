"""Losses, and what counts as correct, by task kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from engine.contract.data.datasets import TaskKind


@dataclass(frozen=True)
class Criterion:
    """Cross-entropy, or binary cross-entropy for multi-label sets; with `focal_gamma` focal loss (Lin et al. 2017).

    class_weights: float [K]; for multi-label the weight of a positive. The focal factor (1 - p)^gamma is that of the
    label itself, unsmoothed and unweighted; it multiplies what smoothing and weights make of the cross-entropy.
    """

    task: TaskKind
    label_smoothing: float = 0.0
    class_weights: torch.Tensor | None = None
    focal_gamma: float = 0.0

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch. logits [B, K]; labels int64 [B], or float [B, K] for multi-label."""
        if self.focal_gamma:
            return self._focal_loss(logits, labels)
        if self.task == "multi_label":
            return F.binary_cross_entropy_with_logits(logits, self._targets(labels), pos_weight=self.class_weights)
        return F.cross_entropy(logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing)

    def _focal_loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.task == "multi_label":
            targets = self._targets(labels)
            each = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=self.class_weights, reduction="none")
            missing = torch.where(labels > 0.5, -logits, logits).sigmoid()
            return (_power(missing, self.focal_gamma) * each).mean()
        each = F.cross_entropy(
            logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing, reduction="none"
        )
        missing = -torch.expm1(F.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0])
        return (_power(missing, self.focal_gamma) * each).sum() / self.weight(labels)

    def _targets(self, labels: torch.Tensor) -> torch.Tensor:
        """Of multi-label sets, smoothed."""
        return labels * (1 - self.label_smoothing) + self.label_smoothing / 2

    def weight(self, labels: torch.Tensor) -> torch.Tensor | int:
        """What the mean of a batch divides by: its images, or the sum of their class weights."""
        if self.class_weights is None or self.task == "multi_label":
            return len(labels)
        return self.class_weights[labels].sum()

    def n_correct(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """How many of the batch are correct, a float64 scalar; for multi-label the mean over the labels."""
        if self.task == "multi_label":
            return ((logits > 0) == (labels > 0.5)).double().mean(dim=1).sum()
        return (logits.argmax(dim=1) == labels).double().sum()


def _power(base: torch.Tensor, exponent: float) -> torch.Tensor:
    """Its slope at 0 is infinite for an exponent below 1, and no loss needs it there."""
    return base.clamp_min(1e-12).pow(exponent)


def balanced_class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """n / (K · n_k) per class, as scikit-learn's "balanced"; negatives / positives per label for multi-label.

    labels: int64 [N] or [N, K]. Returns float32 [K]; a class without images weighs 1, which nothing multiplies.
    """
    if labels.ndim == 2:
        positives = labels.sum(axis=0)
        weights = (len(labels) - positives) / np.maximum(positives, 1)
        return np.where(positives > 0, weights, 1.0).astype(np.float32)
    counts = np.bincount(labels, minlength=classes)
    return np.where(counts > 0, len(labels) / (classes * np.maximum(counts, 1)), 1.0).astype(np.float32)
