"""Parameter groups: which parameters share settings, and each group's rate and decay."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from engine.contract.models.catalogue import models
from engine.model.build import build
from engine.model.groups import ParameterGroup, parameter_groups
from engine.model.plan import ModelPlan
from engine.train.optimizer import OptimizerPlan, build_optimizer, set_rate

SPEC = models()["mini_cnn"]


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


@pytest.mark.parametrize("name", models())
def test_the_models_of_the_catalogue_train_all_parameters_alike(name: str) -> None:
    """So that their runs are what they were, and older checkpoints load."""
    built = build(models()[name], ModelPlan(classes=3, size=28, dropout=0.0), ([0.5], [0.5]))
    names = tuple(name for name, _ in built.module.named_parameters())
    assert built.groups == (ParameterGroup(names, rate=1.0, decays=True),)


def test_norms_and_biases_are_excluded_from_decay_as_the_catalogue_sets() -> None:
    kept, left = parameter_groups(net(), replace(SPEC, decays_norms=False))
    assert (kept.names, kept.decays) == (("0.weight", "3.weight"), True)
    assert (left.names, left.decays) == (("0.bias", "1.weight", "1.bias", "3.bias"), False)


def test_every_parameter_is_in_one_group() -> None:
    module = net()
    groups = parameter_groups(module, replace(SPEC, decays_norms=False, rates=(("0.", 0.1), ("1.", 0.1))))
    assert sorted(name for group in groups for name in group.names) == sorted(dict(module.named_parameters()))
    assert {group.rate for group in groups if "0.weight" in group.names or "1.bias" in group.names} == {0.1}


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_each_group_is_updated_with_its_rate_and_decay(kind: str) -> None:
    """A step by hand: SGD moves by lr · rate · (gradient + decay · weight); AdamW decays, then moves by lr · rate."""
    module, lr, decay = net(), 0.5, 0.1
    groups = parameter_groups(module, replace(SPEC, decays_norms=False, rates=(("0.", 0.25),)))
    optimizer = build_optimizer(module, OptimizerPlan(kind, 0.0, nesterov=False, weight_decay=decay), groups)  # type: ignore[arg-type]
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    module(torch.rand(2, 3, 4, 4)).square().sum().backward()
    set_rate(optimizer, lr)
    optimizer.step()
    assert len(before) == 6
    for name, parameter in module.named_parameters():
        rate = lr * (0.25 if name.startswith("0.") else 1.0)
        held = decay if name in ("0.weight", "3.weight") else 0.0
        assert parameter.grad is not None
        if kind == "sgd":
            expected = before[name] - rate * (parameter.grad + held * before[name])
        else:
            expected = before[name] * (1 - rate * held) - rate * parameter.grad / (parameter.grad.abs() + 1e-8)
        torch.testing.assert_close(parameter.detach(), expected, msg=name)
