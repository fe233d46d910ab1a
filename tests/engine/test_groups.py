"""Parameter groups: which parameters share settings, and each group's rate and decay."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from engine.contract.models.catalogue import models
from engine.model.build import ALL_STAGES, GroupRules, ParameterGroup, build, parameter_groups
from engine.model.plan import ModelPlan
from engine.train.mode import train_mode
from engine.train.optimizer import OptimizerPlan, build_optimizer, set_rate

SPEC = models()["mini_cnn"]


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


@pytest.mark.parametrize("name", ["resnet18_adapted", "resnet18", "mini_cnn", "resnet50", "efficientnet_v2_s"])
def test_convolutional_models_train_all_parameters_alike(name: str) -> None:
    """So that the runs of the oldest are what they were, and older checkpoints load."""
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


# ---- freezing and layer-wise rates -----------------------------------------------------------------------------------


def built_with(rules: GroupRules, name: str = "mini_cnn", dropout: float = 0.0):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    return build(models()[name], ModelPlan(classes=3, size=28, dropout=dropout), ([0.5], [0.5]), rules)


def a_step(built, lr: float = 0.1) -> dict[str, bool]:  # type: ignore[no-untyped-def]
    """One step of SGD as the loop does it; which entries of the state dict changed."""
    optimizer = build_optimizer(built.module, OptimizerPlan("sgd", 0.0, nesterov=False, weight_decay=0.1), built.groups)
    before = {name: tensor.clone() for name, tensor in built.module.state_dict().items()}
    train_mode(built.module)
    built.module(torch.rand(4, 3, 28, 28)).square().sum().backward()
    set_rate(optimizer, lr)
    optimizer.step()
    return {name: not torch.equal(before[name], tensor) for name, tensor in built.module.state_dict().items()}


@pytest.mark.parametrize(("freeze", "frozen"), [(1, ("stage1",)), (2, ("stage1", "stage2")), (3, ("stage",))])
def test_frozen_stages_keep_weights_and_batch_statistics_and_the_others_learn(
    freeze: int, frozen: tuple[str, ...]
) -> None:
    changed = a_step(built_with(GroupRules(freeze=freeze)))
    assert {name for name, is_changed in changed.items() if not is_changed} == {
        name for name in changed if name.startswith(frozen)
    }


def test_freezing_all_but_the_head_trains_the_head_alone() -> None:
    changed = a_step(built_with(GroupRules(freeze=ALL_STAGES)))
    assert {name for name, is_changed in changed.items() if is_changed} == {"fc.weight", "fc.bias"}


def test_a_frozen_part_gives_the_features_of_the_evaluation_and_dropout_before_the_head_still_drops() -> None:
    """A linear probe: the same image has the same features whatever is in its batch."""
    built = built_with(GroupRules(freeze=ALL_STAGES), dropout=0.5)
    features: list[torch.Tensor] = []
    built.module.get_submodule("flat").register_forward_hook(lambda _, __, output: features.append(output.detach()))
    images = torch.rand(4, 3, 28, 28)
    train_mode(built.module)
    with torch.no_grad():
        one, other = built.module(images), built.module(images)
        built.module.eval()(images)
    assert torch.equal(features[0], features[1]) and torch.equal(features[0], features[2])
    assert not torch.equal(one, other)


def test_a_model_without_frozen_parts_is_in_training_mode_throughout() -> None:
    built = built_with(GroupRules())
    train_mode(built.module.eval())
    assert all(module.training for module in built.module.modules())


def rates_of(rules: GroupRules, name: str) -> dict[str, float]:
    return {parameter: group.rate for group in built_with(rules, name).groups for parameter in group.names}


def test_the_rate_falls_from_stage_to_stage_and_the_head_has_its_own() -> None:
    rates = rates_of(GroupRules(layer_decay=0.5, head_rate=10.0), "resnet18_adapted")
    expected = {"fc": 10.0, "layer4": 0.5, "layer3": 0.25, "layer2": 0.125, "layer1": 0.0625, "conv1": 0.0625}
    assert len(rates) == 62
    for name, rate in rates.items():
        assert rate == expected[name.split(".")[0].replace("bn1", "conv1")], name


def test_of_a_vision_transformer_each_block_is_a_stage() -> None:
    rates = rates_of(GroupRules(layer_decay=0.75), "vit_s_16")
    assert rates["heads.head.weight"] == 1.0
    for block in range(12):
        name = f"encoder.layers.encoder_layer_{block}.mlp.0.weight"
        assert rates[name] == pytest.approx(0.75 ** (12 - block))
    assert rates["class_token"] == rates["conv_proj.weight"] == pytest.approx(0.75**12)


@pytest.mark.parametrize(
    ("name", "special"),
    [
        ("vit_s_16", ("class_token", "encoder.pos_embedding")),
        ("swin_t", ("features.1.0.attn.relative_position_bias_table",)),
        ("convnext_tiny", ("features.1.0.layer_scale",)),
    ],
)
def test_of_transformers_and_convnext_norms_biases_and_embeddings_do_not_decay(
    name: str, special: tuple[str, ...]
) -> None:
    built = built_with(GroupRules(), name)
    parameters = dict(built.module.named_parameters())
    left = {parameter for group in built.groups if not group.decays for parameter in group.names}
    assert set(special) <= left
    kept = {parameter for group in built.groups if group.decays for parameter in group.names}
    assert kept | left == set(parameters)
    assert all(parameters[n].ndim >= 2 and n.endswith("weight") for n in kept)
    everything = built_with(GroupRules(decays_norms=True), name).groups
    assert len(everything) == 1 and everything[0].decays
