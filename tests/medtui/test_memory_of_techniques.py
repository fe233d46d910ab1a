"""The memory estimate of the recipe form knows what training techniques keep."""

from __future__ import annotations

from typing import Any

import pytest

from engine.contract.models.catalogue import spec_of
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.sources import facts_of
from medtui.client.preflight import memory_estimate


def needed(**training: Any) -> float:
    recipe = build_recipe({"dataset": {"name": "pathmnist"}, "training": {"batch_size": 64, **training}})
    return memory_estimate(recipe, recipe.training, 1000, facts_of(recipe.dataset))


WEIGHTS = 4 * (spec_of("resnet18_adapted").parameters or 0)  # bytes


@pytest.mark.parametrize(
    ("training", "copies"),
    [
        ({"optimizer": "adamw"}, 1),  # a second moment
        ({"optimizer": "nadamw"}, 1),
        ({"swa_start": 3}, 1),  # the mean
        ({"ema_decay": 0.9}, 1),
        ({"optimizer": "nadamw", "swa_start": 3}, 2),
        ({"cutmix_alpha": 1.0, "focal_gamma": 2.0, "sampling": "weighted"}, 0),
    ],
)
def test_moments_and_averages_are_copies_of_the_weights(training: dict[str, Any], copies: int) -> None:
    assert needed(**training) - needed() == copies * WEIGHTS


def test_accumulation_needs_the_images_of_a_step_and_the_activations_of_a_batch() -> None:
    """28 · 28 pixels of three float32 channels, twice, for each of the 192 images that wait."""
    assert needed(accumulate=4) - needed() == 192 * 28 * 28 * 3 * 4 * 2
    assert needed(accumulate=4) < needed(batch_size=256)
