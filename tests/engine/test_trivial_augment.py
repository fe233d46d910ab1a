"""TrivialAugment: every operation against torchvision's, image by image; which image gets which, and how much."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from engine.data.augment import Augmentation, augment, sample
from engine.data.trivial_augment import (
    BITS,
    COLOUR,
    COLOURING,
    MOVING,
    NUMBER,
    OPERATIONS,
    ROTATION,
    SHEAR,
    SHIFT,
    SampledOperations,
    matrices,
    sample_operations,
)

STRENGTHS = (-1.0, -0.61, -0.11, 0.0, 0.07, 0.503, 1.0)  # no threshold of which is a byte's value
FULL = Augmentation(trivial_augment=1.0)


def bytes_of(batch: int, channels: int, side: int = 24) -> torch.Tensor:
    """uint8, smooth, so that resampling is no matter of noise; the first of a single value."""
    rng = np.random.default_rng(5)
    fields = torch.from_numpy(rng.uniform(20, 200, (batch, channels, 4, 4)))
    images = torch.nn.functional.interpolate(fields, (side, side), mode="bilinear").round().to(torch.uint8)
    images[0] = 90
    return images


def applied(images: torch.Tensor, operation: str, strengths: tuple[float, ...]) -> torch.Tensor:
    operations = SampledOperations(np.full(len(images), NUMBER[operation]), np.array(strengths))
    neutral = sample(FULL, len(images), np.random.default_rng(0))
    affine = matrices(operations).astype(np.float32)
    return augment(images.clone(), FULL, replace(neutral, affine=affine, operations=operations))


def reference(image: torch.Tensor, operation: str, strength: float) -> torch.Tensor:
    """torchvision's, of a uint8 image; as a fraction of 255."""
    unit, factor = image.float() / 255, 1 + strength * COLOUR
    match operation:
        case "brightness":
            return tv.adjust_brightness(unit, factor)
        case "saturation":
            return tv.adjust_saturation(unit, factor)
        case "contrast":
            return tv.adjust_contrast(unit, factor)
        case "sharpness":
            return tv.adjust_sharpness(unit, factor)
        case "posterize":
            return tv.posterize(image, 8 - round(abs(strength) * BITS)).float() / 255
        case "solarize":  # what is brighter than the threshold: torchvision takes what is as bright, too
            return tv.solarize(unit, min(1.0, 1 - abs(strength) + 1e-6))
        case "autocontrast":
            return tv.autocontrast(unit)
        case "equalize":
            return tv.equalize(image).float() / 255
    raise AssertionError(operation)


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("operation", COLOURING)
def test_each_operation_on_colours_is_torchvision_s(operation: str, channels: int) -> None:
    images = bytes_of(len(STRENGTHS), channels)
    found = applied(images.float() / 255, operation, STRENGTHS)
    expected = torch.stack([reference(*pair) for pair in zip(images, [operation] * 7, STRENGTHS, strict=True)])
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    if (operation, channels) != ("saturation", 1):
        assert not torch.allclose(found[-1], images[-1] / 255, atol=1e-2), "it does something"


def moved(image: torch.Tensor, operation: str, strength: float) -> torch.Tensor:
    """torchvision's with bilinear resampling, and zeros from outside."""
    side, still = image.shape[-1], {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    bilinear = {"interpolation": InterpolationMode.BILINEAR}
    shear = math.degrees(math.atan(strength * SHEAR))
    match operation:
        case "shear_x":
            return tv.affine(image, **{**still, "shear": [shear, 0.0]}, center=[0, 0], **bilinear)
        case "shear_y":
            return tv.affine(image, **{**still, "shear": [0.0, shear]}, center=[0, 0], **bilinear)
        case "shift_x":
            return tv.affine(image, **{**still, "translate": [round(strength * SHIFT * side), 0]}, **bilinear)
        case "shift_y":
            return tv.affine(image, **{**still, "translate": [0, round(strength * SHIFT * side)]}, **bilinear)
    return tv.rotate(image, strength * ROTATION, **bilinear)


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("operation", MOVING)
def test_each_operation_that_moves_pixels_is_torchvision_s_where_it_stays_inside(operation: str, channels: int) -> None:
    """20 pixels per side: a shift of 45 % is nine whole ones. Which direction is positive is no matter, as both are
    drawn; it is one for all images."""
    images = bytes_of(2, channels, side=20)[1:].float().div(255).expand(4, -1, -1, -1)
    strengths = (1.0, -1.0, 1 / 3, -1 / 3)
    found = applied(images, operation, strengths)
    errors = []
    for direction in (1, -1):
        worst = 0.0
        for image, result, strength in zip(images, found, strengths, strict=True):
            expected = moved(image, operation, direction * strength)
            inside = moved(torch.ones_like(image), operation, direction * strength) > 0.999
            assert inside.float().mean() > 0.2
            worst = max(worst, float((result - expected)[inside].abs().max()))
        errors.append(worst)
    assert min(errors) < 1e-3 < max(errors)


def test_pixels_from_outside_repeat_the_edge() -> None:
    images = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(1))
    found = applied(images, "shift_x", (1.0,))
    edges = [images[..., :1].expand(-1, -1, -1, 9), images[..., -1:].expand(-1, -1, -1, 9)]
    assert any(
        torch.allclose(part, edge, atol=1e-5)
        for part, edge in ((found[..., :9], edges[0]), (found[..., -9:], edges[1]))
    )


def test_the_identity_and_strength_zero_change_nothing() -> None:
    images = bytes_of(7, 3).float() / 255
    torch.testing.assert_close(applied(images, "identity", STRENGTHS), images, atol=1e-5, rtol=0)
    plain = [name for name in OPERATIONS if name not in ("autocontrast", "equalize")]  # which have no strength
    for name in plain:
        torch.testing.assert_close(applied(images, name, (0.0,) * 7), images, atol=1e-5, rtol=0, msg=name)
    off = Augmentation(trivial_augment=0.0)
    assert torch.equal(augment(images.clone(), off, sample(off, 7, np.random.default_rng(0))), images)


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_equal_images_of_one_batch_are_changed_independently_and_stay_in_range(channels: int) -> None:
    images = bytes_of(2, channels)[1:].float().div(255).expand(64, -1, -1, -1).contiguous()
    before = images.clone()
    found = augment(images, FULL, sample(FULL, 64, np.random.default_rng(0)))
    assert found.shape == images.shape and found.dtype == torch.float32
    assert float(found.min()) >= 0 and float(found.max()) <= 1
    assert len({image.numpy().tobytes() for image in found}) > 40
    assert torch.equal(images, before)


def test_every_operation_is_drawn_equally_often_and_strengths_fill_their_range() -> None:
    sampled = sample_operations(0.6, np.random.default_rng(1).random((14_000, 3)))
    counts = np.bincount(sampled.operation, minlength=len(OPERATIONS))
    assert len(counts) == 14
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(sampled.strength, stats.uniform(-0.6, 1.2).cdf).pvalue > 1e-3


def test_a_batch_is_changed_as_each_of_its_images_alone() -> None:
    """What rows are computed together is no matter."""
    images = bytes_of(32, 3).float() / 255
    sampled = sample(FULL, 32, np.random.default_rng(2))
    together = augment(images, FULL, sampled)
    for row in range(32):
        chosen = np.array([row])
        alone = augment(images[chosen], FULL, sampled.chosen(chosen))
        torch.testing.assert_close(together[chosen], alone, atol=1e-5, rtol=0)


def test_turning_it_on_leaves_the_other_draws_as_they_were() -> None:
    others = Augmentation(hflip=0.5, brightness=0.3)
    one, other = (
        sample(replace(others, trivial_augment=strength), 50, np.random.default_rng(3)) for strength in (0.0, 1.0)
    )
    np.testing.assert_array_equal(one.flips, other.flips)
    np.testing.assert_array_equal(one.colour, other.colour)
    assert one.operations is None and other.operations is not None
