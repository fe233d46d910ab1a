"""Which parameters are trained alike."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from torch import nn

from engine.contract.models.catalogue import ModelSpec


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters by their names. The default is what every parameter gets unless specified otherwise."""

    names: tuple[str, ...]
    rate: float = 1.0  # what the schedule's learning rate is multiplied by
    decays: bool = True  # whether the recipe's weight decay holds for them


def parameter_groups(module: nn.Module, spec: ModelSpec) -> tuple[ParameterGroup, ...]:
    """Every parameter in one group, by its rate and whether it decays; the order within a group is the module's."""
    found: dict[tuple[float, bool], list[str]] = defaultdict(list)
    for name, parameter in module.named_parameters():
        rate = next((rate for beginning, rate in spec.rates if name.startswith(beginning)), 1.0)
        of_norm_or_bias = parameter.ndim <= 1
        found[rate, spec.decays_norms or not of_norm_or_bias].append(name)
    return tuple(ParameterGroup(tuple(names), rate, decays) for (rate, decays), names in found.items())
