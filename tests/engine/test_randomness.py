"""Every draw comes from its key, and from nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.device import seed_everything
from engine.randomness import epoch_order, generator, key, seed_step


def test_the_same_key_draws_the_same_numbers() -> None:
    first, second = (generator(42, "augment", 3, 17).random(100) for _ in range(2))
    assert first.std() > 0.1
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "other",
    [
        (43, "augment", 3, 17),
        (42, "mixup", 3, 17),
        (42, "augment", 4, 17),
        (42, "augment", 3, 18),
        (42, "augment", 17, 3),
    ],
)
def test_another_seed_purpose_epoch_or_step_draws_other_numbers(other: tuple[int, str, int, int]) -> None:
    draws = generator(42, "augment", 3, 17).random(100)
    assert (draws != generator(*other).random(100)).all()


def test_keys_never_collide_in_a_grid_of_seeds_purposes_epochs_and_steps() -> None:
    places = list(
        itertools.product((0, 1, 11, 2**32 - 1), ("order", "mixup", "augment", "torch"), range(12), range(12))
    )
    assert len(places) == 4 * 4 * 12 * 12
    assert len({key(*place) for place in places}) == len(places)


@given(st.integers(0, 2**32 - 1), st.integers(0, 10_000), st.integers(1, 500))
def test_an_epoch_s_order_is_a_permutation(seed: int, epoch: int, images: int) -> None:
    assert sorted(epoch_order(seed, epoch, images).tolist()) == list(range(images))


def test_every_epoch_and_seed_has_a_different_order() -> None:
    orders = {tuple(epoch_order(seed, epoch, 50)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def _dropout_mask() -> torch.Tensor:
    return torch.nn.functional.dropout(torch.ones(1000), 0.5) > 0


def test_a_steps_dropout_does_not_depend_on_previous_draws() -> None:
    seed_step(42, 2, 5)
    expected = _dropout_mask()
    for earlier in (0, 1, 1000):
        torch.rand(earlier)
        seed_step(42, 2, 5)
        assert torch.equal(_dropout_mask(), expected)


def test_each_step_epoch_and_seed_has_different_dropout() -> None:
    masks = set()
    for place in ((42, 2, 5), (42, 2, 6), (42, 3, 5), (43, 2, 5), (42, 5, 2)):
        seed_step(*place)
        masks.add(tuple(_dropout_mask().tolist()))
    assert len(masks) == 5


def test_seeding_a_step_is_what_manual_seed_would_have_done() -> None:
    seed_step(42, 2, 5)
    value = torch.initial_seed()
    mask = _dropout_mask()
    torch.manual_seed(value)
    assert torch.equal(_dropout_mask(), mask)


def test_seeding_everything_repeats_the_draws_of_python_numpy_and_torch() -> None:
    import random

    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(()))

    seed_everything(7)
    first = draws()
    assert draws() != first
    seed_everything(7)
    assert draws() == first
