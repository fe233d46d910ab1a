"""Losses, and what counts as correct, by task kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from engine.contract.data.datasets import TaskKind


@dataclass(frozen=True)
class Criterion:
    """Cross-entropy, or binary cross-entropy for multi-label sets.

    class_weights: float [K]; for multi-label the weight of a positive.
    """

    task: TaskKind
    label_smoothing: float = 0.0
    class_weights: torch.Tensor | None = None

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch. logits [B, K]; labels int64 [B], or float [B, K] for multi-label."""
        if self.task == "multi_label":
            targets = labels * (1 - self.label_smoothing) + self.label_smoothing / 2
            return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=self.class_weights)
        return F.cross_entropy(logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing)

    def n_correct(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """How many of the batch are correct, a float64 scalar; for multi-label the mean over the labels."""
        if self.task == "multi_label":
            return ((logits > 0) == (labels > 0.5)).double().mean(dim=1).sum()
        return (logits.argmax(dim=1) == labels).double().sum()


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
