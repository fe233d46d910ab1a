"""Stochastic depth: the rates of torchvision and timm, which branches it skips, and nothing in evaluation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models import MobileNetV3, SwinTransformer, convnext_tiny, efficientnet_v2_s
from torchvision.ops import StochasticDepth

from engine.contract.models.catalogue import MODELS, models, spec_of
from engine.contract.wire.errors import RecipeError
from engine.model.build import build
from engine.model.plan import ModelPlan
from engine.model.stochastic_depth import of_mobilenet, of_resnet, of_vit

STATISTICS = ([0.5] * 3, [0.25] * 3)
SMALL = 28


def built(name: str, rate: float | None, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build(spec_of(name), ModelPlan(5, SMALL, 0.0, stochastic_depth=rate), STATISTICS).module


def rates_of(model: nn.Module) -> list[float]:
    return [float(module.p) for module in model.modules() if isinstance(module, StochasticDepth)]


def hooked(model: nn.Module) -> list[float]:
    """The chances of hooked branches, in order."""
    found = []
    for module in model.modules():
        found += [hook.args[0] for hook in module._forward_hooks.values()]  # type: ignore[attr-defined]
    return found


@pytest.mark.slow
def test_where_torchvision_has_it_the_rates_are_those_of_its_own_argument() -> None:
    rate = 0.3
    swin = SwinTransformer([4, 4], 96, [2, 2, 6, 2], [3, 6, 12, 24], [7, 7], stochastic_depth_prob=rate)
    references = {
        "swin_t": swin,
        "convnext_tiny": convnext_tiny(stochastic_depth_prob=rate),
        "efficientnet_v2_s": efficientnet_v2_s(stochastic_depth_prob=rate),
    }
    for name, reference in references.items():
        expected = rates_of(reference)
        assert len(expected) > 10
        assert rates_of(built(name, rate)) == pytest.approx(expected), name


def test_the_catalogue_names_the_models_own_rates() -> None:
    """And where it says none, the built model has no branch to skip."""
    assert len(MODELS) > 10
    own = {spec.name: spec.stochastic_depth for spec in MODELS}
    assert [name for name, rate in own.items() if rate is None] == ["mini_cnn", "densenet121", "vgg16_bn"]
    for name in ("swin_t", "convnext_tiny"):
        assert max(rates_of(built(name, None))) == pytest.approx(own[name])
    for name in ("resnet18", "mobilenet_v3_large"):
        model = built(name, None)
        assert own[name] == 0 and not rates_of(model) and not hooked(model)


@pytest.mark.parametrize(("name", "blocks"), [("resnet18_adapted", 8), ("resnet34", 16), ("resnet50", 16)])
def test_the_chances_of_a_resnet_rise_evenly_to_the_rate_as_timm_has_them(name: str, blocks: int) -> None:
    timm = pytest.importorskip("timm")
    own = {"resnet18_adapted": "resnet18"}.get(name, name)
    reference = timm.create_model(own, drop_path_rate=0.3)
    expected = [module.drop_prob for module in reference.modules() if type(module).__name__ == "DropPath"]
    assert len(expected) == blocks - 1  # the first block is never skipped
    assert hooked(built(name, 0.3)) == pytest.approx(expected)


def test_of_a_vit_both_branches_of_a_block_have_its_chance() -> None:
    expected = [0.2 * block / 11 for block in range(1, 12) for _ in range(2)]
    assert hooked(built("vit_s_16", 0.2)) == pytest.approx(expected)


def test_a_mobilenet_skips_only_blocks_that_add_their_input() -> None:
    model = built("mobilenet_v3_large", 0.2)
    assert isinstance(model, MobileNetV3)
    assert len(of_mobilenet(model)) == 10
    assert hooked(model) == pytest.approx([0.2 * block / 9 for block in range(1, 10)])


def test_a_skipped_branch_leaves_the_input_of_its_block_and_a_kept_one_is_scaled() -> None:
    """By hand, of the last block of a ResNet, image by image: relu(x) or relu(x + branch / 0.5)."""
    model = built("resnet18_adapted", 0.5)
    block = model.layer4[1]  # type: ignore[index, union-attr]
    block.eval()
    inputs = torch.randn(64, 512, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        branch = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(inputs)))))
        block.bn2.training = True
        block.bn2.momentum, norm = 0.0, block.bn2.forward
        block.bn2.forward = lambda values: torch.nn.functional.batch_norm(  # as in evaluation
            values,
            block.bn2.running_mean,
            block.bn2.running_var,
            block.bn2.weight,
            block.bn2.bias,
            False,
            0,
            norm.__self__.eps,
        )
        torch.manual_seed(4)
        found = block(inputs)
    skipped, kept = torch.relu(inputs), torch.relu(inputs + branch / 0.5)
    which = [
        "skipped" if torch.allclose(one, a, atol=1e-4) else "kept" if torch.allclose(one, b, atol=1e-4) else "neither"
        for one, a, b in zip(found, skipped, kept, strict=True)
    ]
    assert set(which) == {"skipped", "kept"}
    assert 16 < which.count("skipped") < 48


@pytest.mark.parametrize(
    "name",
    [
        "resnet18_adapted",
        "mobilenet_v3_large",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("vit_s_16", "swin_t")),
    ],
)
def test_weights_have_the_same_names_and_evaluation_the_same_scores(name: str) -> None:
    model, plain = built(name, 0.4).eval(), built(name, 0.0).eval()
    for parameter in model.parameters():  # a ViT's head begins with zeros
        nn.init.normal_(parameter, std=0.02)
    plain.load_state_dict(model.state_dict(), strict=True)
    images = torch.rand(2, 3, SMALL, SMALL)
    with torch.no_grad():
        assert torch.equal(model(images), plain(images))
        model.train()
        torch.manual_seed(1)
        one = model(images)
        torch.manual_seed(1)
        again = model(images)
        torch.manual_seed(2)
        other = model(images)
    assert torch.equal(one, again), "its draws come from the step's seed"
    assert not torch.equal(one, other)


def test_every_branch_that_is_hooked_is_found_once() -> None:
    for name, branches in (("resnet50", of_resnet), ("vit_s_16", of_vit)):
        ends = [end for block in branches(built(name, None)) for end in block]  # type: ignore[operator]
        assert len({id(end) for end in ends}) == len(ends) > 10


def test_of_timm_s_models_it_is_timm_s_own_or_refused_where_there_is_none() -> None:
    pytest.importorskip("timm")
    model = built("timm/resnet10t", 0.2)
    chances = [module.drop_prob for module in model.modules() if type(module).__name__ == "DropPath"]
    assert chances == pytest.approx([0.2 * block / 3 for block in range(1, 4)])
    with pytest.raises(RecipeError) as caught:
        built("timm/vgg11", 0.2)
    assert "has no meaning for timm/vgg11" in caught.value.message
    assert built("timm/vgg11", None) is not None


def test_a_plan_of_the_same_model_without_it_is_the_plan_there_was() -> None:
    plan = ModelPlan(5, SMALL, 0.0)
    assert plan.stochastic_depth is None
    assert replace(plan, stochastic_depth=0.1) != plan
    assert models()["resnet18"].stochastic_depth == 0.0
