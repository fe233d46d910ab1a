"""SGD with momentum (Nesterov on request) or AdamW."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn


@dataclass(frozen=True)
class OptimizerPlan:
    kind: Literal["sgd", "adamw"]
    momentum: float
    nesterov: bool
    weight_decay: float


def build_optimizer(model: nn.Module, plan: OptimizerPlan) -> torch.optim.Optimizer:
    """The rate is set at every step by the schedule."""
    if plan.kind == "adamw":
        return torch.optim.AdamW(
            model.parameters(), lr=0.0, betas=(plan.momentum, 0.999), weight_decay=plan.weight_decay
        )
    return torch.optim.SGD(
        model.parameters(),
        lr=0.0,
        momentum=plan.momentum,
        nesterov=plan.nesterov,
        weight_decay=plan.weight_decay,
    )
