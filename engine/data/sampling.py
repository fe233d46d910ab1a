"""Which training images an epoch has, and in which order: from a key, so that any epoch can be drawn at any time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.randomness import epoch_order, generator


@dataclass(frozen=True)
class Sampling:
    kind: Literal["shuffled", "weighted", "balanced"] = "shuffled"
    power: float = 0.5  # of "weighted": an image of a class of n images is drawn by weight n^-power

    def order(self, labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """The rows of an epoch, int64 [N]: as many as there are images. labels: int64 [N], or [N, K] for "shuffled"."""
        if self.kind == "shuffled":
            return epoch_order(seed, epoch, len(labels))
        rng = generator(seed, "sampling", epoch)
        return _balanced(labels, rng) if self.kind == "balanced" else _weighted(labels, self.power, rng)


def _weighted(labels: np.ndarray, power: float, rng: np.random.Generator) -> np.ndarray:
    """With replacement, each draw on its own."""
    weights = np.bincount(labels)[labels].astype(np.float64) ** -power
    rows: np.ndarray = rng.choice(len(labels), size=len(labels), p=weights / weights.sum())
    return rows


def _balanced(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Equally many of every class that has images, or one more of some; none again before all of its class."""
    classes = np.unique(labels)
    each, rest = divmod(len(labels), len(classes))
    counts = np.full(len(classes), each)
    counts[rng.permutation(len(classes))[:rest]] += 1
    parts = []
    for label, count in zip(classes, counts, strict=True):
        own = np.flatnonzero(labels == label)
        rounds = -(-count // len(own))
        parts.append(np.concatenate([rng.permutation(own) for _ in range(rounds)] or [own[:0]])[:count])
    return rng.permutation(np.concatenate(parts))
