"""The learning rate: a pure function of the step over the planned steps. Early stopping never reshapes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    kind: Literal["cosine", "one_cycle", "plateau", "constant"]
    lr: float  # the highest
    min_lr: float
    steps: int  # planned, of the run
    warmup_steps: int = 0

    # Smith & Topin 2019, with the proportions of torch's OneCycleLR
    RISE = 0.3  # fraction of the steps
    FIRST = 1 / 25  # of the highest rate
    LAST = 1 / 25e4  # of the highest rate

    def __call__(self, step: int, plateau_scale: float = 1.0) -> float:
        """The rate of step `step`, from 0. `plateau_scale`: the factor that plateaus have multiplied it by so far."""
        if self.kind == "one_cycle":
            return self._one_cycle(step)
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        if self.kind == "plateau":
            return max(self.min_lr, self.lr * plateau_scale)
        if self.kind == "constant":
            return self.lr
        fraction = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return _cosine(self.lr, self.min_lr, fraction)

    def _one_cycle(self, step: int) -> float:
        peak = self.RISE * self.steps - 1
        if step <= peak:
            return _cosine(self.lr * self.FIRST, self.lr, step / peak) if peak > 0 else self.lr
        return _cosine(self.lr, self.lr * self.LAST, (step - peak) / max(1e-9, self.steps - 1 - peak))


def _cosine(start: float, end: float, fraction: float) -> float:
    """From start to end, as `end + (start − end)(1 + cos π fraction) / 2`."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


@dataclass
class Plateau:
    """Lowers the rate when the monitored metric has not improved for `patience` epochs."""

    patience: int  # epochs
    factor: float
    scale: float = 1.0
    best: float = -math.inf  # the highest score
    waited: int = 0  # epochs

    def update(self, score: float) -> None:
        """After an epoch with this `score_of`: higher is better, NaN is no improvement."""
        if score > self.best:
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.scale *= self.factor
            self.waited = 0
