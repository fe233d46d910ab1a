"""Random resized crop and random erasing against torchvision's and counted pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from engine.data.augment import Augmentation, augment, erase, sample

CROPPED = Augmentation(crop_area=0.3)
ERASED = Augmentation(erasing=0.4, fill=(0.2, 0.5, 0.7))


def pictures(batch: int, channels: int = 3, side: int = 24) -> torch.Tensor:
    return torch.rand(batch, channels, side, side, generator=torch.Generator().manual_seed(2))


def changed(images: torch.Tensor, augmentation: Augmentation, seed: int = 0) -> torch.Tensor:
    return augment(images, augmentation, sample(augmentation, len(images), np.random.default_rng(seed)))


def crops(augmentation: Augmentation, n: int) -> np.ndarray:
    """Left, top, width and height as fractions of the side: float [n, 4]."""
    affine = sample(augmentation, n, np.random.default_rng(7)).affine.astype(np.float64)
    sides = np.stack([affine[:, 0, 0], affine[:, 1, 1]], axis=1)
    return np.hstack([(affine[:, :, 2] + 1 - sides) / 2, sides])


def test_a_crop_has_the_area_aspect_and_place_of_torchvision_s() -> None:
    left, top, width, height = crops(CROPPED, 4000).T
    assert min(left.min(), top.min()) > -1e-6 and max((left + width).max(), (top + height).max()) < 1 + 1e-6
    fits = (width < 1 - 1e-6) & (height < 1 - 1e-6)  # a side that would be longer becomes the image's
    area, aspect = (width * height), width / height
    assert area.min() >= 0.3 - 1e-6 and area.max() <= 1 + 1e-6
    assert aspect.min() >= 3 / 4 - 1e-6 and aspect.max() <= 4 / 3 + 1e-6
    small = area < 0.5  # which always fit: a uniform area and a log-uniform aspect
    assert fits[small].all() and small.sum() > 500
    assert stats.kstest(area[small], stats.uniform(0.3, 0.2).cdf).pvalue > 1e-3
    logs = np.log(aspect[small])
    assert stats.kstest(logs, stats.uniform(np.log(3 / 4), 2 * np.log(4 / 3)).cdf).pvalue > 1e-3
    place = left[small] / (1 - width[small])
    assert stats.kstest(place, stats.uniform(0, 1).cdf).pvalue > 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_of_whole_pixels_is_torchvision_s_away_from_its_edges(channels: int) -> None:
    """Where its edges lie inside the image, ours sees the pixels beyond them, torchvision's repeats the last."""
    images = pictures(1, channels)
    top, left, height, width = 3, 8, 16, 12
    affine = np.array([[[12 / 24, 0, (2 * 8 + 12) / 24 - 1], [0, 16 / 24, (2 * 3 + 16) / 24 - 1]]], dtype=np.float32)
    sampled = replace(sample(CROPPED, 1, np.random.default_rng(0)), affine=affine)
    found = augment(images, CROPPED, sampled)
    expected = tv.resized_crop(images, top, left, height, width, [24, 24], InterpolationMode.BILINEAR, antialias=True)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5, rtol=0)


def test_a_crop_comes_before_the_turn() -> None:
    """A quarter turn of the crop."""
    both = Augmentation(crop_area=0.3, rotation=90)
    images = pictures(5)
    sampled = sample(both, 5, np.random.default_rng(1))
    alone = sample(replace(both, rotation=0.0), 5, np.random.default_rng(1))
    turn = sample(replace(both, crop_area=1.0), 5, np.random.default_rng(1))
    quarter = np.tile(np.array([[0, -1, 0], [1, 0, 0]], dtype=np.float32), (5, 1, 1))
    composed = np.concatenate([alone.affine[:, :, :2] @ quarter[:, :, :2], alone.affine[:, :, 2:]], axis=2)
    expected = augment(images, both, replace(alone, affine=alone.affine)).rot90(1, (-2, -1))
    found = augment(images, both, replace(sampled, affine=composed))
    opposite = expected.rot90(2, (-2, -1))
    assert torch.allclose(found, expected, atol=1e-4) or torch.allclose(found, opposite, atol=1e-4)
    # what is sampled with both is the crop of what the turn alone takes
    by_hand = alone.affine[:, :, :2] @ turn.affine[:, :, :2]
    np.testing.assert_allclose(sampled.affine[:, :, :2], by_hand, atol=1e-6)
    np.testing.assert_allclose(sampled.affine[:, :, 2], alone.affine[:, :, 2], atol=1e-6)


def boxes(augmentation: Augmentation, n: int, side: int) -> np.ndarray:
    """Which pixels are erased: bool [n, side, side]."""
    ones = torch.ones(n, 1, side, side)
    sampled = sample(augmentation, n, np.random.default_rng(11))
    assert sampled.erased is not None
    return erase(ones, sampled.erased, (0.0,))[:, 0].numpy() == 0


def test_erased_pixels_are_a_rectangle_with_area_and_aspect_of_torchvision_s() -> None:
    masks = boxes(replace(ERASED, erasing=1.0), 2000, 100)
    heights, widths = masks.any(axis=2).sum(axis=1), masks.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(masks.sum(axis=(1, 2)), heights * widths)
    areas, aspects = heights * widths / 1e4, heights / widths
    assert areas.min() > 0.015 and areas.max() < 0.34
    assert aspects.min() > 0.28 and aspects.max() < 3.6
    assert stats.kstest(areas, stats.uniform(0.02, 0.31).cdf).pvalue > 1e-3
    tops = masks.any(axis=2).argmax(axis=1) / (101 - heights)
    assert stats.kstest(tops, stats.uniform(0, 1).cdf).pvalue > 1e-4
    assert masks.any(axis=(0, 1)).all() and masks.any(axis=(0, 2)).all(), "up to every edge"


def test_it_is_torchvision_s_erase_with_the_mean_of_the_training_images() -> None:
    images = pictures(40)
    found = changed(images, ERASED)
    masks = boxes(ERASED, 40, 24)
    sampled = sample(ERASED, 40, np.random.default_rng(0))
    assert sampled.erased is not None
    masks = erase(torch.ones(40, 1, 24, 24), sampled.erased, (0.0,))[:, 0].numpy() == 0
    n = 0
    for image, result, mask in zip(images, found, masks, strict=True):
        if not mask.any():
            assert torch.equal(result, image)
            continue
        n += 1
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        fill = torch.tensor(ERASED.fill)[:, None, None]
        assert torch.equal(result, tv.erase(image, rows[0], columns[0], len(rows), len(columns), fill))
    assert stats.binomtest(n, 40, 0.4).pvalue > 1e-3


def test_grey_images_are_erased_with_their_one_mean() -> None:
    found = changed(torch.ones(20, 1, 16, 16), Augmentation(erasing=1.0, fill=(0.25,)))
    assert set(found.unique().tolist()) == {0.25, 1.0}


@pytest.mark.parametrize("augmentation", [CROPPED, replace(ERASED, erasing=1.0)], ids=["crop", "erasing"])
def test_equal_images_of_one_batch_are_changed_independently(augmentation: Augmentation) -> None:
    images = pictures(1).expand(12, -1, -1, -1).contiguous()
    before = images.clone()
    found = changed(images, augmentation)
    assert len({image.numpy().tobytes() for image in found}) == 12
    assert torch.equal(images, before)


def test_off_they_are_the_identity() -> None:
    images = pictures(4)
    assert torch.equal(changed(images.clone(), Augmentation(crop_area=1.0, erasing=0.0)), images)
    whole = replace(CROPPED, crop_area=1 - 1e-9)  # every crop is as good as all
    spans = crops(whole, 100)
    assert spans[:, 2:].max(axis=1).min() > 1 - 1e-6


def test_they_leave_the_draws_of_the_others_and_each_other_s() -> None:
    others = Augmentation(hflip=0.5, brightness=0.3)
    plain, cropped, erased, both = (
        sample(replace(others, **more), 30, np.random.default_rng(3))
        for more in ({}, {"crop_area": 0.4}, {"erasing": 0.5}, {"crop_area": 0.4, "erasing": 0.5})
    )
    for found in (cropped, erased, both):
        np.testing.assert_array_equal(found.flips, plain.flips)
        np.testing.assert_array_equal(found.colour, plain.colour)
    np.testing.assert_array_equal(cropped.affine, both.affine)
    assert erased.erased is not None and both.erased is not None
    np.testing.assert_array_equal(erased.erased, both.erased)
    np.testing.assert_array_equal(erased.affine, plain.affine)
