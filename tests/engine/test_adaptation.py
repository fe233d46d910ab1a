"""The models of the catalogue at every image size: what they are made of, and that small images keep their pixels."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import cache, partial

import pytest
import torch
import torch.nn.functional as F
import torchvision.models as torchvisions
from torch import nn
from torchvision.models import VisionTransformer
from torchvision.ops import StochasticDepth

from engine.contract.models.catalogue import MODELS, models
from engine.contract.models.spec import GRIDS, ModelSpec, patch_size, window_size
from engine.model.build import DERIVED, Built, build, fitted, load_matching
from engine.model.plan import ModelPlan
from engine.model.swin import fitted_bias
from engine.model.vgg import on_smaller_map
from engine.model.vit import resampled_positions
from engine.train.optimizer import OptimizerPlan, build_optimizer, set_rate

SIZES = (28, 64, 128, 224)
STATISTICS = ([0.5] * 3, [0.25] * 3)
ADAPTED = [spec for spec in MODELS if spec.adapted and spec.name != "resnet18_adapted"]
LARGE = {"resnet34", "vgg16_bn", "vit_b_16", "resnet50", "efficientnet_v2_s"}  # slow
LARGE |= {"resnet18_adapted", "resnet18"}  # in `test_model.py`
SIBLINGS = {"resnet18", "resnet34", "vit_b_16"}  # of others of their families

every_size = pytest.mark.parametrize(
    ("spec", "size"),
    [
        pytest.param(s, size, id=f"{s.name}-{size}", marks=[pytest.mark.exhaustive] if size != 28 else [])
        for s in MODELS
        for size in SIZES
        if s.fits(size)
    ],
)
every_model = pytest.mark.parametrize(
    "spec", [pytest.param(s, id=s.name, marks=[pytest.mark.slow] if s.name in LARGE else []) for s in MODELS]
)


def built_at(spec: ModelSpec, size: int, classes: int = 5, device: str = "cpu") -> Built:
    torch.manual_seed(0)
    with torch.device(device):
        return build(spec, ModelPlan(classes, size, 0.0), STATISTICS)


@cache
def shapes_at(spec: ModelSpec, size: int, classes: int = 5) -> Built:
    """The same without numbers, of which there are many."""
    return built_at(spec, size, classes, device="meta")


def maps_of(spec: ModelSpec, size: int) -> tuple[int, ...]:
    """The side of the map that each stage ends with, as seen in a forward pass; of a ViT patches per side."""
    module = shapes_at(spec, size).module.eval()
    seen: dict[int, int] = {}

    def look(stage: int, _: nn.Module, __: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4:
            seen[stage] = output.shape[2]
        if isinstance(output, torch.Tensor) and output.ndim == 3 and spec.patches:
            seen[stage] = math.isqrt(output.shape[1] - 1)

    for name, part in module.named_modules():
        for stage, beginnings in enumerate(spec.stages):
            if f"{name}.".startswith(beginnings) and not name.startswith("classifier"):  # whose map is pooled
                part.register_forward_hook(partial(look, stage))
    assert module(torch.rand(2, 3, size, size, device="meta")).shape == (2, 5)
    found = tuple(seen[stage] for stage in range(len(spec.stages)) if stage in seen)
    return found[-1:] if spec.patches else found


@every_size
def test_the_maps_of_each_stage_are_those_of_the_documents(spec: ModelSpec, size: int) -> None:
    assert spec.maps_at(size) == maps_of(spec, size)


@pytest.mark.parametrize("spec", ADAPTED, ids=lambda spec: spec.name)
def test_an_adapted_model_keeps_at_least_half_the_pixels_of_small_images_in_its_first_stage(spec: ModelSpec) -> None:
    """And reduces them by less than the published one, which would leave a point or nothing of 28 px."""
    for size in (28, 64):
        maps = spec.maps_at(size)
        assert maps is not None
        assert maps[0] >= size / 4 and maps[-1] >= 3
    published = spec.maps_at(224)
    assert published is not None and published[-1] >= 7


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_every_parameter_is_of_a_stage_or_of_the_head(spec: ModelSpec) -> None:
    names = [name for name, _ in shapes_at(spec, 28).module.named_parameters()]
    stages = [[name for name in names if name.startswith(beginnings)] for beginnings in spec.stages]
    assert len(stages) >= 3 and all(stages)
    of_stages = [name for stage in stages for name in stage]
    assert len(of_stages) == len(set(of_stages))
    assert set(names) == set(of_stages) | set(spec.classifier)


@every_size
def test_the_number_of_parameters_is_about_right(spec: ModelSpec, size: int) -> None:
    own = sum(parameter.numel() for parameter in shapes_at(spec, size).module.parameters())
    assert spec.parameters_at(size) == pytest.approx(own, rel=0.06)


# ---- torchvision's model with the same surgery -----------------------------------------------------------------------


def _stem(old: nn.Conv2d) -> nn.Conv2d:
    return nn.Conv2d(3, old.out_channels, 3, stride=1, padding=1, bias=old.bias is not None)


def _resnet(name: str, classes: int) -> nn.Module:
    model = getattr(torchvisions, name)(num_classes=classes)
    model.conv1, model.maxpool = _stem(model.conv1), nn.Identity()
    return model  # type: ignore[no-any-return]


def _densenet(classes: int) -> nn.Module:
    model = torchvisions.densenet121(num_classes=classes)
    model.features.conv0, model.features.pool0 = _stem(model.features.conv0), nn.Identity()
    return model


def _vgg(classes: int) -> nn.Module:
    model = torchvisions.vgg16_bn(num_classes=classes)
    model.features[6] = model.features[13] = nn.Identity()
    model.avgpool, model.classifier[0] = nn.Identity(), nn.Linear(512 * 3 * 3, 4096)
    return model


def _efficientnet(classes: int) -> nn.Module:
    model = torchvisions.efficientnet_v2_s(num_classes=classes)
    model.features[0][0].stride = model.features[2][0].block[0][0].stride = (1, 1)
    return model


def _convnext(classes: int) -> nn.Module:
    model = torchvisions.convnext_tiny(num_classes=classes)
    model.features[0][0] = _stem(model.features[0][0])
    return model


def _mobilenet(classes: int) -> nn.Module:
    model = torchvisions.mobilenet_v3_large(num_classes=classes)
    model.features[0][0].stride = model.features[2].block[1][0].stride = (1, 1)
    return model


def _vit(width: int, heads: int, classes: int) -> nn.Module:
    return VisionTransformer(28, 2, 12, heads, width, 4 * width, num_classes=classes)


def _swin(classes: int) -> nn.Module:
    model = torchvisions.swin_t(num_classes=classes)
    model.features[0][0] = _stem(model.features[0][0])
    for number, block in enumerate(model.features[7]):  # a map of 4 × 4
        block.attn.window_size, block.attn.shift_size = [4, 4], [2 * (number % 2)] * 2
        block.attn.define_relative_position_bias_table()
        block.attn.define_relative_position_index()
    return model


BY_HAND: dict[str, Callable[[int], nn.Module]] = {
    "resnet18_adapted": partial(_resnet, "resnet18"),
    "resnet18": lambda classes: torchvisions.resnet18(num_classes=classes),
    "resnet34": partial(_resnet, "resnet34"),
    "resnet50": partial(_resnet, "resnet50"),
    "densenet121": _densenet,
    "vgg16_bn": _vgg,
    "efficientnet_v2_s": _efficientnet,
    "convnext_tiny": _convnext,
    "mobilenet_v3_large": _mobilenet,
    "vit_s_16": partial(_vit, 384, 6),
    "vit_b_16": partial(_vit, 768, 12),
    "swin_t": _swin,
}


def trained_a_step(spec: ModelSpec, size: int, images: torch.Tensor) -> nn.Module:
    """The model after a step of AdamW on these images."""
    built = built_at(spec, size)
    module = built.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for name in spec.classifier:  # of a vision transformer zero, which passes nothing back
        nn.init.normal_(module.get_parameter(name), std=0.1)
    for part in module.modules():
        if isinstance(part, StochasticDepth):  # it may drop a block of both images
            part.p = 0.0
    optimizer = build_optimizer(module, OptimizerPlan("adamw", 0.9, nesterov=False, weight_decay=0.01), built.groups)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    set_rate(optimizer, 1e-4)
    F.cross_entropy(module.train()(images), torch.arange(len(images)) % 5).backward()
    optimizer.step()
    changed = module.state_dict()
    unchanged = [name for name, _ in module.named_parameters() if torch.equal(before[name], changed[name])]
    assert not unchanged
    assert all(torch.isfinite(tensor).all() for tensor in changed.values())
    return module  # type: ignore[no-any-return]


@every_model
@pytest.mark.everyday("mini_cnn", "vit_s_16")
@pytest.mark.usual(*(spec.name for spec in MODELS if spec.name not in SIBLINGS))
def test_a_step_trains_every_parameter_and_torchvisions_model_gives_the_same_scores_with_these_weights(
    spec: ModelSpec,
) -> None:
    torch.manual_seed(1)
    images = torch.rand(2, 3, 28, 28)
    module = trained_a_step(spec, 28, images).eval()
    if spec.name == "mini_cnn":  # medtui's own
        return
    plain = BY_HAND[spec.name](5).eval()
    plain.load_state_dict(module.state_dict(), strict=True)
    with torch.inference_mode():
        torch.testing.assert_close(module(images), plain(images), rtol=1e-4, atol=1e-5)


@pytest.mark.exhaustive
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_a_step_trains_every_parameter_at_every_size(spec: ModelSpec, size: int) -> None:
    if not spec.fits(size):
        pytest.skip(f"{spec.name} is not for {size} px")
    trained_a_step(spec, size, torch.rand(2, 3, size, size))


# ---- published weights -----------------------------------------------------------------------------------------------


@cache
def published(name: str, device: str = "meta") -> dict[str, torch.Tensor]:
    """A state dict as torchvision publishes it."""
    with torch.device(device):
        found = getattr(torchvisions, name.removesuffix("_adapted"))().state_dict()
    return OrderedDict(found)


@every_size
def test_published_weights_have_the_shapes_of_the_model(spec: ModelSpec, size: int) -> None:
    if spec.weights is None:
        return  # there are none
    built = shapes_at(spec, size)
    found = fitted(built, published(spec.name), "the file")
    own = built.module.state_dict()
    assert {name for name in own if name not in found} <= {name for name in own if name.endswith(DERIVED)}
    assert set(found) <= set(own)
    for name, tensor in found.items():
        assert name in spec.classifier or tensor.shape == own[name].shape, name


@pytest.mark.slow
def test_weights_of_224_px_need_no_change_at_224_px() -> None:
    found = [spec for spec in MODELS if spec.weights is not None and spec.fits(224)]
    assert len(found) >= 10
    for spec in found:
        weights = published(spec.name)
        made = fitted(shapes_at(spec, 224), weights, "the file")
        assert made.keys() == weights.keys() and all(made[name] is weights[name] for name in made), spec.name


def test_the_published_densenet_has_older_names_which_are_understood() -> None:
    spec, weights = models()["densenet121"], published("densenet121", "cpu")
    old = {  # as in the file, which torchvision translates in this way
        name.replace(".norm1.", ".norm.1.").replace(".conv1.", ".conv.1.")
        .replace(".norm2.", ".norm.2.").replace(".conv2.", ".conv.2."): tensor
        for name, tensor in weights.items()
    }  # fmt: skip
    assert set(old) != set(weights)
    built = built_at(spec, 28)
    kept = {name: t for name, t in fitted(built, old, "the file").items() if name not in spec.classifier}
    assert sorted(load_matching(built, kept, "the file")) == sorted(spec.classifier)
    name = "features.denseblock3.denselayer7.conv2.weight"
    assert torch.equal(built.module.state_dict()[name], weights[name])


# ---- properties of the adaptations -----------------------------------------------------------------------------------


def test_vggs_first_linear_layer_gives_for_a_map_what_the_published_one_gives_for_it_pooled_to_7() -> None:
    torch.manual_seed(2)
    weight = torch.randn(11, 4 * 7 * 7, dtype=torch.float64)
    for side in range(1, 7):
        maps = torch.randn(3, 4, side, side, dtype=torch.float64)
        expected = F.adaptive_avg_pool2d(maps, 7).flatten(1) @ weight.T
        torch.testing.assert_close(maps.flatten(1) @ on_smaller_map(weight, side).T, expected)


def test_positions_keep_the_class_tokens_and_are_unchanged_on_the_same_grid() -> None:
    positions = torch.randn(1, 1 + 14 * 14, 8)
    assert torch.equal(resampled_positions(positions, 14), positions)
    for grid in (16, 20, 7):
        found = resampled_positions(positions, grid)
        assert found.shape == (1, 1 + grid * grid, 8)
        assert torch.equal(found[:, 0], positions[:, 0])


def test_positions_that_change_evenly_across_the_image_still_do_on_another_grid() -> None:
    """A position is where in the image it is: coordinates stay coordinates, but for the edge, beyond which is none.

    To half a percent of the image: bicubic interpolation is not exact.
    """
    for grid in (16, 20):
        rows = (torch.arange(14, dtype=torch.float64) + 0.5) / 14
        own = torch.stack(torch.meshgrid(rows, rows, indexing="ij"), dim=-1).view(1, -1, 2)
        found = resampled_positions(torch.cat([torch.zeros(1, 1, 2, dtype=torch.float64), own], dim=1), grid)
        expected = (torch.arange(grid, dtype=torch.float64) + 0.5) / grid
        maps = found[0, 1:].view(grid, grid, 2)[3:-3, 3:-3]
        torch.testing.assert_close(maps[..., 0], expected[3:-3, None].expand(maps.shape[:2]), atol=5e-3, rtol=0)
        torch.testing.assert_close(maps[..., 1], expected[None, 3:-3].expand(maps.shape[:2]), atol=5e-3, rtol=0)


@pytest.mark.parametrize("window", range(1, 9))
def test_a_distance_within_a_window_keeps_its_learned_bias(window: int) -> None:
    """As torchvision looks a bias up: by the difference of two patches' rows and columns."""
    table = torch.randn(13 * 13, 3)
    found = fitted_bias(table, window)
    assert found.shape == ((2 * window - 1) ** 2, 3)
    for down in range(1 - window, window):
        for across in range(1 - window, window):
            bias = found[(down + window - 1) * (2 * window - 1) + across + window - 1]
            near = [max(-6, min(6, step)) for step in (down, across)]
            assert torch.equal(bias, table[(near[0] + 6) * 13 + near[1] + 6])


def test_windows_fill_the_maps_of_every_size_and_patches_the_images() -> None:
    for size in SIZES:
        maps = models()["swin_t"].maps_at(size)
        assert maps is not None
        for side in maps:
            assert side % window_size(side) == 0, (size, side)
        patch = patch_size(size)
        assert patch is not None and size % patch == 0 and size // patch in GRIDS
    assert [patch_size(size) for size in SIZES] == [2, 4, 8, 16]
    assert [window_size(side) for side in (56, 28, 14, 7)] == [7, 7, 7, 7], "as published"
    assert patch_size(97) is None and not models()["vit_s_16"].fits(97)
