"""Which images an epoch has: counted, and as torch's WeightedRandomSampler has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.utils.data import WeightedRandomSampler

from engine.data.sampling import Sampling
from engine.randomness import epoch_order

LABELS = np.repeat([0, 1, 2], [40, 9, 1])  # fifty images


def classes_drawn(sampling: Sampling, epochs: int) -> np.ndarray:
    """How many of each class: int64 [3]."""
    rows = np.concatenate([sampling.order(LABELS, 42, epoch) for epoch in range(epochs)])
    return np.bincount(LABELS[rows], minlength=3)


def test_shuffled_is_the_order_that_there_was() -> None:
    np.testing.assert_array_equal(Sampling().order(LABELS, 42, 3), epoch_order(42, 3, 50))
    sets = np.eye(3, dtype=np.int64)[LABELS]
    np.testing.assert_array_equal(Sampling().order(sets, 42, 3), epoch_order(42, 3, 50))


@pytest.mark.parametrize(
    ("power", "shares"),
    [
        (0.0, (40, 9, 1)),  # every image alike
        (0.5, (np.sqrt(40), np.sqrt(9), 1)),  # n · n^-½
        (1.0, (1, 1, 1)),  # every class alike
    ],
)
def test_weighted_draws_classes_by_their_size_to_the_power(power: float, shares: tuple[float, ...]) -> None:
    found = classes_drawn(Sampling("weighted", power), 200)
    assert found.sum() == 200 * 50
    assert stats.chisquare(found, np.array(shares) / sum(shares) * found.sum()).pvalue > 1e-3


def test_weighted_is_torch_s_sampler_with_these_weights() -> None:
    weights = (np.bincount(LABELS)[LABELS] ** -0.5).tolist()
    torch.manual_seed(0)
    reference = np.bincount([row for _ in range(200) for row in WeightedRandomSampler(weights, 50)], minlength=50)
    rows = np.concatenate([Sampling("weighted", 0.5).order(LABELS, 42, epoch) for epoch in range(200)])
    ours = np.bincount(rows, minlength=50)
    assert ours.max() > 200, "with replacement"
    assert stats.chi2_contingency(np.stack([ours, reference])).pvalue > 1e-3


def test_balanced_has_every_class_equally_often() -> None:
    for epoch in range(20):
        rows = Sampling("balanced").order(LABELS, 42, epoch)
        counts = np.bincount(LABELS[rows], minlength=3)
        assert sorted(counts) == [16, 17, 17]  # of fifty
    total = classes_drawn(Sampling("balanced"), 300)
    assert np.ptp(total) < 60, "the odd ones go to any class"


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any),
    seed=st.integers(0, 1000),
    epoch=st.integers(0, 50),
)
def test_balanced_repeats_no_image_before_all_of_its_class(counts: list[int], seed: int, epoch: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    rows = Sampling("balanced").order(labels, seed, epoch)
    assert len(rows) == len(labels)
    for label in np.unique(labels):
        times = np.bincount(rows[labels[rows] == label], minlength=len(labels))[labels == label]
        assert np.ptp(times) <= 1
    drawn = np.bincount(labels[rows], minlength=len(counts))[np.array(counts) > 0]
    assert np.ptp(drawn) <= 1


@pytest.mark.parametrize("kind", ["weighted", "balanced"])
def test_an_epoch_is_the_same_whenever_it_is_drawn_and_unlike_the_others(kind: str) -> None:
    sampling = Sampling(kind)  # type: ignore[arg-type]
    first, again = sampling.order(LABELS, 42, 5), sampling.order(LABELS, 42, 5)
    np.testing.assert_array_equal(first, again)
    for other in (sampling.order(LABELS, 42, 6), sampling.order(LABELS, 43, 5)):
        assert not np.array_equal(first, other)
    assert first.dtype == np.int64
    assert len(np.unique(LABELS[first[:25]])) > 1, "classes are mixed"
