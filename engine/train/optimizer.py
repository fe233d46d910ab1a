"""SGD with momentum (Nesterov on request), AdamW, or NAdamW.

NAdamW is torch's NAdam (Dozat 2016) with the decoupled decay of AdamW (Loshchilov & Hutter 2019). Of the newer
optimizers it is the one that the AlgoPerf benchmark (Dahl et al. 2023) measures all others against; it takes the
learning rates of AdamW, and every parameter, convolutions too. Whether it is better on these data is not measured.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import nn

RATE = "rate"  # key of a parameter group: its multiplier of the schedule's learning rate


@dataclass(frozen=True)
class OptimizerPlan:
    kind: Literal["sgd", "adamw", "nadamw"]
    momentum: float
    nesterov: bool
    weight_decay: float


class Group(Protocol):
    """Parameters that are trained alike."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def rate(self) -> float:
        """What the schedule's learning rate is multiplied by."""

    @property
    def decays(self) -> bool:
        """Whether the plan's weight decay holds for them."""


def build_optimizer(
    model: nn.Module, plan: OptimizerPlan, groups: Sequence[Group] | None = None
) -> torch.optim.Optimizer:
    """`groups`: every parameter in one of them; None is all in one. The rate is set at every step: `set_rate`."""
    named = dict(model.named_parameters())
    alike = [(group.names, group.rate, group.decays) for group in groups or ()] or [(list(named), 1.0, True)]
    parameters = [
        {
            "params": [named[name] for name in names],
            "weight_decay": plan.weight_decay if decays else 0.0,
            RATE: rate,
        }
        for names, rate, decays in alike
    ]
    if plan.kind == "adamw":
        betas = (plan.momentum, 0.999)
        return _plain(torch.optim.AdamW)(parameters, lr=0.0, betas=betas, weight_decay=plan.weight_decay)
    if plan.kind == "nadamw":
        decay = {"weight_decay": plan.weight_decay, "decoupled_weight_decay": True}
        return _plain(torch.optim.NAdam)(parameters, lr=0.0, betas=(plan.momentum, 0.999), **decay)
    return _plain(torch.optim.SGD)(
        parameters,
        lr=0.0,
        momentum=plan.momentum,
        nesterov=plan.nesterov,
        weight_decay=plan.weight_decay,
    )


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The schedule's learning rate for the next step, each group's by its own multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group[RATE]


def _plain(kind: Any) -> Any:
    """torch's optimizer, its methods without the wrappers that hide them from torch.compile.

    Those import the compiler at the first call, compiled or not: 1.5 s and 150 MB of every start.
    """
    methods = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in methods}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**plain, "step": step})
