"""SGD with momentum (Nesterov on request) or AdamW."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Literal

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
        return _plain(torch.optim.AdamW)(
            model.parameters(), lr=0.0, betas=(plan.momentum, 0.999), weight_decay=plan.weight_decay
        )
    return _plain(torch.optim.SGD)(
        model.parameters(),
        lr=0.0,
        momentum=plan.momentum,
        nesterov=plan.nesterov,
        weight_decay=plan.weight_decay,
    )


def _plain(kind: Any) -> Any:
    """torch's optimizer, its methods without the wrappers that hide them from torch.compile.

    Those import the compiler at the first call, compiled or not: 1.5 s and 150 MB of every start.
    """
    methods = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in methods}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**plain, "step": step})
