"""The metric of the validation split by which an epoch is the best, training stops early and a plateau begins."""

from __future__ import annotations

import math
from typing import Literal, Protocol

Monitor = Literal["auc", "loss", "acc", "f1"]
# Which epoch is the best: by the monitor, among equals by the lower loss. "auc" alone was the first rule.
BestBy = Literal["auc", "auc_then_loss", "loss", "acc_then_loss", "f1_then_loss"]
NAMES: dict[Monitor, str] = {"auc": "AUC", "loss": "loss", "acc": "ACC", "f1": "F1"}
BEST_BY: dict[Monitor, BestBy] = {
    "auc": "auc_then_loss",
    "loss": "loss",
    "acc": "acc_then_loss",
    "f1": "f1_then_loss",
}


class Measured(Protocol):
    """The metrics of a split; `loss` is None where scores are all that is known."""

    @property
    def loss(self) -> float | None: ...
    @property
    def auc(self) -> float: ...
    @property
    def acc(self) -> float: ...
    @property
    def f1(self) -> float: ...


def value_of(metrics: Measured, monitor: Monitor) -> float:
    """The monitored metric; NaN where it is undefined or not known."""
    value: float | None = getattr(metrics, monitor)
    return math.nan if value is None else value


def describe_better(monitor: Monitor) -> str:
    """What an epoch must have to count as an improvement: `a higher validation AUC`."""
    return f"a {'lower' if monitor == 'loss' else 'higher'} validation {NAMES[monitor]}"
