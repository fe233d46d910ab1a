"""CutMix against torchvision's, its labels by counted pixels, and which batches have it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torchvision.transforms import v2

from engine.randomness import generator
from engine.train.mixup import Box, Mix, MixUp, mix_for, mix_images, sample_cutmix, sample_mix

SHAPE = (10, 14)


def pictures(batch: int = 6) -> torch.Tensor:
    return torch.rand(batch, 3, *SHAPE, generator=torch.Generator().manual_seed(1))


def test_images_and_label_weights_are_torchvision_s() -> None:
    """Whose partner is the image before."""
    images, reference = pictures(), v2.CutMix(num_classes=2)
    box = Box(top=2, bottom=7, left=3, right=13)
    mix = Mix(1 - box.area / 140, np.roll(np.arange(6), 1), box)
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    params = {"box": (3, 2, 13, 7), "lam_adjusted": 1 - 50 / 140, "labels": labels, "batch_size": 6}
    assert torch.equal(mix_images(images, mix), reference.transform(images, params))
    both = reference.transform(labels, params)  # [6, 2]: the weight of each class
    own, partner = (torch.nn.functional.one_hot(found, 2) for found in (labels, labels[mix.partners]))
    torch.testing.assert_close(mix.weight * own + (1 - mix.weight) * partner, both)


def test_the_given_images_stay() -> None:
    images = pictures()
    before = images.clone()
    mix_images(images, sample_cutmix(1.0, 6, SHAPE, generator(1, "cutmix")))
    assert torch.equal(images, before)


@given(seed=st.integers(0, 10_000), height=st.integers(1, 40), width=st.integers(1, 40))
def test_the_weight_is_the_fraction_of_pixels_that_are_the_image_s_own(seed: int, height: int, width: int) -> None:
    mix = sample_cutmix(1.0, 2, (height, width), generator(seed, "cutmix"))
    swapped = Mix(mix.weight, np.array([1, 0]), mix.box)
    images = torch.stack([torch.zeros(1, height, width), torch.ones(1, height, width)])
    mixed = mix_images(images, swapped)
    own = int((mixed[0] == 0).sum())
    assert own == int((mixed[1] == 1).sum())
    assert mix.weight == pytest.approx(own / (height * width), abs=1e-12)


def test_the_box_has_the_area_that_lambda_leaves_where_no_edge_cuts_it() -> None:
    weights, sides = [], []
    for seed in range(600):
        rng, again = generator(seed, "cutmix"), generator(seed, "cutmix")
        weights.append(again.beta(1.0, 1.0))
        box = sample_cutmix(1.0, 2, (1000, 1000), rng).box
        assert box is not None
        sides.append((box.bottom - box.top, box.right - box.left, box.top, box.bottom, box.left, box.right))
    complete = [
        (weight, height * width / 1e6)
        for weight, (height, width, *ends) in zip(weights, sides, strict=True)
        if ends[0] > 0 and ends[1] < 1000 and ends[2] > 0 and ends[3] < 1000
    ]
    assert len(complete) > 60
    for weight, area in complete:
        assert area == pytest.approx(1 - weight, abs=0.005)


def test_with_both_each_batch_has_one_of_them_with_equal_chance_by_its_key() -> None:
    both = MixUp(0.2, None, 1.0)
    found = [mix_for(both, 42, 0, step, 8, SHAPE) for step in range(600)]
    cut = sum(mix is not None and mix.box is not None for mix in found)
    assert stats.binomtest(cut, 600, 0.5).pvalue > 1e-3
    for step, mix in enumerate(found):
        again = mix_for(both, 42, 0, step, 8, SHAPE)
        assert mix is not None and again is not None
        assert (mix.weight, mix.box) == (again.weight, again.box)
        np.testing.assert_array_equal(mix.partners, again.partners)


def test_turning_it_on_leaves_the_mixups_of_the_other_batches_as_they_were() -> None:
    for step in range(40):
        mix, alone = (mix_for(MixUp(0.2, None, cutmix), 42, 0, step, 8, SHAPE) for cutmix in (1.0, 0.0))
        assert mix is not None and alone is not None
        expected = sample_mix(0.2, 8, generator(42, "mixup", 0, step))
        assert alone.weight == expected.weight
        if mix.box is None:
            assert mix.weight == alone.weight
            np.testing.assert_array_equal(mix.partners, alone.partners)


def test_alone_every_batch_has_it_up_to_and_with_the_last_epoch() -> None:
    found = [mix_for(MixUp(0.0, 2, 1.0), 42, epoch, step, 8, SHAPE) for epoch in range(3) for step in range(5)]
    assert all(mix is not None and mix.box is not None for mix in found[:10])
    assert found[10:] == [None] * 5
    assert mix_for(MixUp(0.0, None, 0.0), 42, 0, 0, 8, SHAPE) is None
