"""Everything that decides how training continues. A checkpoint holds all of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import nn

from engine.contract.wire.monitor import Monitor
from engine.train.ema import MovingAverage
from engine.train.schedule import Plateau
from engine.train.swa import WeightMean


@dataclass(frozen=True)
class EpochRecord:
    """A row of the history. No times in it: two equal runs have equal histories."""

    epoch: int  # from 1
    lr: float  # of the last step
    train_loss: float
    train_acc: float
    val_loss: float
    val_auc: float
    val_acc: float
    val_f1: float
    best: bool


def score_of(record: EpochRecord, monitor: Monitor) -> float:
    """The monitored metric of an epoch, such that higher is better; NaN where it is undefined."""
    value: float = getattr(record, f"val_{monitor}")
    return -value if monitor == "loss" else value


@dataclass
class TrainingState:
    model: nn.Module
    optimizer: torch.optim.Optimizer
    losses: torch.Tensor  # float32 [steps per epoch], of the running epoch, on the device
    n_correct: torch.Tensor  # float64 [steps per epoch], images that were correct
    average: MovingAverage | None = None
    swa: WeightMean | None = None
    scaler: torch.amp.GradScaler | None = None
    plateau: Plateau | None = None
    epoch: int = 0  # completed epochs
    step: int = 0  # steps of the next one that are done
    best_epoch: int | None = None  # from 1
    best_auc: float = -math.inf  # of that epoch; NaN where another monitor made one with an undefined AUC the best
    without_improvement: int = 0  # epochs without a better value of the monitor
    history: list[EpochRecord] = field(default_factory=list)

    @property
    def evaluated(self) -> nn.Module:
        """The model that validation, best and test use: the average where there is one, the mean once it has begun."""
        if self.swa and self.swa.epochs:
            return self.swa.model
        return self.average.model if self.average else self.model

    @property
    def best_record(self) -> EpochRecord | None:
        return self.history[self.best_epoch - 1] if self.best_epoch is not None else None

    @property
    def is_finite(self) -> bool:
        """Are all losses of the running epoch? On a device the loop may not have checked yet."""
        return bool(torch.isfinite(self.losses[: self.step]).all())

    @property
    def global_step(self) -> int:
        return self.epoch * len(self.losses) + self.step
