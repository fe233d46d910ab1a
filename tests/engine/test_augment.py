"""Augmentation against torch's flips and rotations, torchvision's colours, and pixels counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchvision.transforms.v2 import functional as tv

from engine.data.augment import Augmentation, SampledAugmentation, augment, sample, unit_range
from engine.model.build import Normalisation

EVERYTHING = Augmentation(
    hflip=0.5, vflip=0.5, rotation=25, shift=0.2, scale=0.3, brightness=0.4, contrast=0.3, saturation=0.6
)


class Dice:
    """Stands in for a generator: the same uniform numbers for every image, by column, 0.5 (the neutral) elsewhere."""

    def __init__(self, columns: dict[int, float]) -> None:
        self.columns = columns

    def random(self, size: tuple[int, int], dtype: object = None) -> np.ndarray:
        uniform = np.full(size, 0.5)
        for column, value in self.columns.items():
            uniform[:, column] = value
        return uniform


ANGLE, ZOOM, ACROSS, DOWN = 2, 3, 4, 5


def given_draws(augmentation: Augmentation, batch: int, columns: dict[int, float]) -> SampledAugmentation:
    return sample(augmentation, batch, Dice(columns))  # type: ignore[arg-type]


def pictures(batch: int, channels: int = 3, side: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, channels, side, side, generator=torch.Generator().manual_seed(seed))


def changed(images: torch.Tensor, augmentation: Augmentation, seed: int = 0) -> torch.Tensor:
    return augment(images, augmentation, sample(augmentation, len(images), np.random.default_rng(seed)))


@pytest.mark.parametrize("channels", [1, 3])
def test_without_settings_the_images_stay_exactly_as_they_are(channels: int) -> None:
    images = pictures(5, channels)
    assert torch.equal(changed(images.clone(), Augmentation()), images)


def test_the_input_images_are_not_modified() -> None:
    images = pictures(6)
    before = images.clone()
    assert not torch.equal(changed(images, EVERYTHING), before)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(rotation=20),
        Augmentation(shift=0.3),
        Augmentation(scale=0.4),
        Augmentation(brightness=0.5),
        Augmentation(contrast=0.5),
        Augmentation(saturation=0.5),
        EVERYTHING,
    ],
    ids=str,
)
def test_equal_images_of_one_batch_are_augmented_independently(augmentation: Augmentation) -> None:
    images = pictures(1).mul(0.5).expand(6, -1, -1, -1).contiguous()
    results = changed(images, augmentation)
    same = [(i, j) for i in range(6) for j in range(i) if torch.equal(results[i], results[j])]
    assert same == []


@pytest.mark.parametrize(
    ("augmentation", "dimensions"),
    [
        (Augmentation(hflip=1.0), (-1,)),
        (Augmentation(vflip=1.0), (-2,)),
        (Augmentation(hflip=1.0, vflip=1.0), (-1, -2)),
    ],
)
def test_a_flip_with_probability_one_is_torchs_flip(augmentation: Augmentation, dimensions: tuple[int, ...]) -> None:
    images = pictures(4)
    assert torch.equal(changed(images, augmentation), torch.flip(images, dimensions))
    resampled = changed(images, replace(augmentation, rotation=1e-4))
    torch.testing.assert_close(resampled, torch.flip(images, dimensions), atol=1e-4, rtol=0)


def test_a_flip_happens_as_often_as_its_probability_and_per_image() -> None:
    flips = sample(Augmentation(hflip=0.3, vflip=0.8), 4000, np.random.default_rng(1)).flips
    left_right, up_down = flips.mean(axis=0)
    assert stats.binomtest(int(left_right * 4000), 4000, 0.3).pvalue > 1e-3
    assert stats.binomtest(int(up_down * 4000), 4000, 0.8).pvalue > 1e-3
    images = pictures(200)
    augmentation = Augmentation(hflip=0.5)
    results = changed(images, augmentation)
    kept = sum(torch.equal(a, b) for a, b in zip(images, results, strict=True))
    flipped = sum(torch.equal(a.flip(-1), b) for a, b in zip(images, results, strict=True))
    assert kept + flipped == 200
    assert 60 < kept < 140


def test_a_quarter_rotation_is_torchs_rot90_and_the_opposite_angle_rotates_the_other_way() -> None:
    images = pictures(2)
    augmentation = Augmentation(rotation=90)
    one, other = (augment(images, augmentation, given_draws(augmentation, 2, {ANGLE: end})) for end in (1.0, 0.0))
    turns = [images.rot90(k, (-2, -1)) for k in (1, 3)]
    if not torch.allclose(one, turns[0], atol=1e-4):
        turns.reverse()
    torch.testing.assert_close(one, turns[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(other, turns[1], atol=1e-4, rtol=0)


def test_a_half_rotation_is_both_flips() -> None:
    images = pictures(2)
    augmentation = Augmentation(rotation=180)
    turned = augment(images, augmentation, given_draws(augmentation, 2, {ANGLE: 1.0}))
    torch.testing.assert_close(turned, images.flip(-1, -2), atol=1e-4, rtol=0)


@pytest.mark.parametrize("side", [8, 28])
@pytest.mark.parametrize(("column", "dimension"), [(ACROSS, -1), (DOWN, -2)])
def test_a_shift_moves_by_its_fraction_of_the_side_in_pixels_either_way(side: int, column: int, dimension: int) -> None:
    images = pictures(2, side=side)
    augmentation = Augmentation(shift=0.25)
    pixels = side // 4
    moved = [augment(images, augmentation, given_draws(augmentation, 2, {column: end})) for end in (1.0, 0.0)]
    whole = side - pixels  # rows or columns that are still seen
    towards_start = [m.narrow(dimension, 0, whole) for m in moved]
    towards_end = [m.narrow(dimension, pixels, whole) for m in moved]
    expected_start, expected_end = images.narrow(dimension, pixels, whole), images.narrow(dimension, 0, whole)
    forward = torch.allclose(towards_start[0], expected_start, atol=1e-4)
    first, second = (0, 1) if forward else (1, 0)
    torch.testing.assert_close(towards_start[first], expected_start, atol=1e-4, rtol=0)
    torch.testing.assert_close(towards_end[second], expected_end, atol=1e-4, rtol=0)
    # what comes in from outside is the edge, repeated
    edge = images.narrow(dimension, side - 1, 1).expand_as(images).narrow(dimension, 0, pixels)
    torch.testing.assert_close(moved[first].narrow(dimension, whole, pixels), edge, atol=1e-4, rtol=0)


def test_a_zoom_by_one_half_makes_a_block_half_as_wide_and_by_three_halves_wider() -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[..., 2:6, 2:6] = 1
    augmentation = Augmentation(scale=0.5)
    smaller = augment(images, augmentation, given_draws(augmentation, 1, {ZOOM: 0.0}))
    expected = torch.zeros(1, 1, 8, 8)
    expected[..., 3:5, 3:5] = 1
    torch.testing.assert_close(smaller, expected, atol=1e-5, rtol=0)
    larger = augment(images, augmentation, given_draws(augmentation, 1, {ZOOM: 1.0}))
    # 4 px wide times 1.5: the area grows by 2.25
    assert float(larger.sum()) == pytest.approx(16 * 2.25, rel=0.1)


def test_a_flip_and_a_rotation_together_are_their_composition() -> None:
    images = pictures(1)
    augmentation = Augmentation(hflip=1.0, rotation=90)
    result = augment(images, augmentation, given_draws(augmentation, 1, {ANGLE: 1.0}))
    transposes = [images.transpose(-1, -2), images.transpose(-1, -2).flip(-1, -2)]
    assert any(torch.allclose(result, candidate, atol=1e-4) for candidate in transposes)


FACTORS = (0.3, 0.8, 1.0, 1.25, 1.7)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("setting", "column", "reference"),
    [
        ("brightness", 0, tv.adjust_brightness),
        ("contrast", 1, tv.adjust_contrast),
        ("saturation", 2, tv.adjust_saturation),
    ],
)
def test_each_colour_change_is_torchvision_s(setting: str, column: int, reference, channels: int) -> None:
    images = pictures(len(FACTORS), channels)
    colour = np.ones((len(FACTORS), 3), dtype=np.float32)
    colour[:, column] = FACTORS
    neutral = sample(Augmentation(), len(FACTORS), np.random.default_rng(0))
    results = augment(images.clone(), Augmentation(**{setting: 1.0}), replace(neutral, colour=colour))
    expected = torch.stack([reference(image, factor) for image, factor in zip(images, FACTORS, strict=True)])
    if not (channels == 1 and setting == "saturation"):  # saturation does not change grey
        assert not torch.allclose(expected, images, atol=1e-2)
    torch.testing.assert_close(results, expected, atol=1e-5, rtol=0)


def test_colour_changes_follow_one_another_brightness_contrast_saturation() -> None:
    images = pictures(1).round(decimals=2)
    colour = np.array([[1.5, 0.6, 0.5]], dtype=np.float32)
    neutral = sample(Augmentation(), 1, np.random.default_rng(0))
    all_three = Augmentation(brightness=1.0, contrast=1.0, saturation=1.0)
    result = augment(images, all_three, replace(neutral, colour=colour))
    expected = tv.adjust_saturation(tv.adjust_contrast(tv.adjust_brightness(images, 1.5), 0.6), 0.5)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


share = st.floats(0, 1)


@settings(max_examples=40, deadline=None)
@given(
    augmentation=st.builds(
        Augmentation,
        hflip=share,
        vflip=share,
        rotation=st.floats(0, 180),
        shift=st.floats(0, 0.5),
        scale=st.floats(0, 0.5),
        brightness=share,
        contrast=share,
        saturation=share,
    ),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
def test_whatever_the_settings_range_shape_and_type_stay(augmentation: Augmentation, channels: int, seed: int) -> None:
    images = pictures(3, channels, side=7, seed=seed)
    images[0] = images[0].round()  # black and white, the ends of the range
    results = changed(images, augmentation, seed)
    assert results.shape == images.shape
    assert results.dtype == torch.float32
    assert float(results.min()) >= 0
    assert float(results.max()) <= 1


def test_sampled_angles_shifts_zooms_and_factors_fill_their_bounds_evenly() -> None:
    n = 4000
    augmentation = replace(EVERYTHING, hflip=0.0, vflip=0.0)
    sampled = sample(augmentation, n, np.random.default_rng(2))
    affine = sampled.affine.astype(np.float64)
    size = np.hypot(affine[:, 0, 0], affine[:, 1, 0])
    quantities = {
        "rotation": (np.degrees(np.arctan2(affine[:, 1, 0], affine[:, 0, 0])), 25.0),
        "shift across": (affine[:, 0, 2] / 2, 0.2),  # the side is 2 long
        "shift down": (affine[:, 1, 2] / 2, 0.2),
        "scale": (1 / size - 1, 0.3),
        "brightness": (sampled.colour[:, 0] - 1.0, 0.4),
        "contrast": (sampled.colour[:, 1] - 1.0, 0.3),
        "saturation": (sampled.colour[:, 2] - 1.0, 0.6),
    }
    for name, (values, bound) in quantities.items():
        assert np.abs(values).max() <= bound + 1e-6, name
        assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3, name
    columns = np.column_stack([values for values, _ in quantities.values()])
    correlation = np.corrcoef(columns.T) - np.eye(len(quantities))
    assert np.abs(correlation).max() < 0.08


NAMES = ("hflip", "vflip", "rotation", "shift", "scale", "brightness", "contrast", "saturation")


@pytest.mark.parametrize("turned_off", NAMES)
def test_disabling_one_setting_does_not_change_what_the_others_sample(turned_off: str) -> None:
    def quantities(augmentation: Augmentation) -> dict[str, np.ndarray]:
        sampled = sample(augmentation, 50, np.random.default_rng(3))
        matrix = sampled.affine[:, :, :2].astype(np.float64)
        signs = 1 - 2 * sampled.flips.astype(np.float64)
        plain = matrix * signs[:, None, :]  # without the mirrors
        size = np.hypot(plain[:, 0, 0], plain[:, 1, 0])
        return {
            "hflip": sampled.flips[:, 0],
            "vflip": sampled.flips[:, 1],
            "rotation": np.arctan2(plain[:, 1, 0], plain[:, 0, 0]),
            "shift": sampled.affine[:, :, 2],
            "scale": size,
            "brightness": sampled.colour[:, 0],
            "contrast": sampled.colour[:, 1],
            "saturation": sampled.colour[:, 2],
        }

    full, less = quantities(EVERYTHING), quantities(replace(EVERYTHING, **{turned_off: 0.0}))
    assert not np.allclose(full[turned_off], less[turned_off])
    for name in NAMES:
        if name != turned_off:
            np.testing.assert_allclose(less[name], full[name], atol=1e-6, err_msg=name)


def test_bytes_become_fractions_of_255() -> None:
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    floats = unit_range(every)
    assert floats.dtype == torch.float32
    np.testing.assert_array_equal(floats.numpy().ravel(), np.arange(256, dtype=np.float32) / np.float32(255))


def test_grey_images_are_normalised_and_become_three_equal_channels() -> None:
    images = pictures(2, channels=1)
    result = Normalisation([0.25], [0.5])(images)
    assert result.shape == (2, 3, 12, 12)
    expected = (images.numpy()[:, 0] - 0.25) / 0.5
    for channel in range(3):
        np.testing.assert_allclose(result[:, channel].numpy(), expected, rtol=1e-6)


def test_colour_images_are_normalised_channel_by_channel() -> None:
    images = pictures(2)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]
    result = Normalisation(mean, std)(images).numpy()
    for channel in range(3):
        expected = (images.numpy()[:, channel] - mean[channel]) / std[channel]
        np.testing.assert_allclose(result[:, channel], expected, atol=1e-6)
