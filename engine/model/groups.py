"""Which parameters are trained, and which of them alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from engine.contract.models.spec import ModelSpec


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters by their names. The default is what every parameter gets unless specified otherwise."""

    names: tuple[str, ...]
    rate: float = 1.0  # what the schedule's learning rate is multiplied by
    decays: bool = True  # whether the recipe's weight decay holds for them


@dataclass(frozen=True)
class GroupRules:
    """What a recipe says of them."""

    freeze: int = 0  # stages from the input on that are not trained
    layer_decay: float = 1.0  # of the learning rate, from each stage to the one before it
    head_rate: float = 1.0  # multiplier of the head's learning rate
    decays_norms: bool | None = None  # None: as the catalogue has it


ALL_STAGES = 1_000_000  # to freeze: all but the head


def parameter_groups(
    module: nn.Module, spec: ModelSpec, rules: GroupRules = GroupRules()
) -> tuple[ParameterGroup, ...]:
    """Every parameter that is trained in one group, by its rate and whether it decays; the order within a group is the
    module's."""
    found: dict[tuple[float, bool], list[str]] = defaultdict(list)
    decays_norms = spec.decays_norms if rules.decays_norms is None else rules.decays_norms
    for name, parameter, depth in _by_depth(module, spec):
        if depth > 0 and depth > stage_count(spec) - rules.freeze:
            continue
        rate = next((rate for beginning, rate in spec.rates if name.startswith(beginning)), 1.0)
        rate *= rules.head_rate if depth == 0 else rules.layer_decay**depth
        of_norm_or_bias = parameter.ndim <= 1 or name.endswith(spec.undecayed)
        found[rate, decays_norms or not of_norm_or_bias].append(name)
    return tuple(ParameterGroup(tuple(names), rate, decays) for (rate, decays), names in found.items())


def freeze_others(module: nn.Module, groups: tuple[ParameterGroup, ...]) -> None:
    """No gradients for the parameters that are in no group."""
    trained = {name for group in groups for name in group.names}
    for name, parameter in module.named_parameters():
        if name not in trained:
            parameter.requires_grad_(False)


def stage_count(spec: ModelSpec) -> int:
    return max(1, len(spec.stages))


def _by_depth(module: nn.Module, spec: ModelSpec) -> Iterator[tuple[str, nn.Parameter, int]]:
    """Each parameter with the distance of its stage from the head, which is 0; 1 for the last stage."""
    for name, parameter in module.named_parameters():
        yield name, parameter, 0 if name in spec.classifier else stage_count(spec) - _stage(name, spec)


def _stage(name: str, spec: ModelSpec) -> int:
    """From 0; what no stage names belongs to the last one."""
    found = (number for number, beginnings in enumerate(spec.stages) if name.startswith(beginnings))
    return next(found, stage_count(spec) - 1)
