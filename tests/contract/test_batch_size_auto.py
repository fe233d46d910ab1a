"""`batch_size: auto`: what fits by the estimate, and the same experiment as of a recipe that names it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.contract.recipe.identity import recipe_hash, resolved_hash
from engine.contract.recipe.memory_estimate import largest_batch
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sources import facts_of
from engine.contract.wire.errors import RecipeError
from engine.contract.wire.resolved import Resolved, StartingWeights, describe_decisions


def recipe_with(**training: Any) -> Recipe:
    return build_recipe({"dataset": {"name": "pathmnist"}, "training": {"batch_size": "auto", **training}})


def decided(free: int | None, images: int = 10_000, *, mixed: bool = False, **training: Any) -> int:
    recipe = recipe_with(**training)
    return largest_batch(recipe, images, facts_of(recipe.dataset), free, mixed=mixed)


# ResNet-18: 11.2 million weights of 4 bytes, five times: with gradients, momentum, while saving and reading; 224 MB.
# 6.5 MB per image: 128 take 1056 MB, 64 take 640 MB: four fifths of 1320 and of 800 MB.
BOUNDS = [(1_320_000_001, 128), (1_319_999_999, 64), (800_000_001, 64), (799_999_999, 32), (0, 2)]


@pytest.mark.parametrize(("free", "expected"), [(None, 128), (10**12, 128), *BOUNDS])
def test_the_largest_power_of_two_up_to_128_that_fits(free: int | None, expected: int) -> None:
    assert decided(free) == expected


def test_mixed_precision_takes_three_fifths_of_the_activations() -> None:
    """499.2 MB of 128 images and 224 MB: four fifths of 904 MB. 15 images are the least, by what evaluating takes."""
    assert (decided(904_000_001, mixed=True), decided(903_999_999, mixed=True)) == (128, 64)
    least = (224_000_000 + 15 * 6_500_000) * 5 // 4
    assert (decided(least + 1), decided(least - 1)) == (8, 2)


def test_there_are_images_for_a_step() -> None:
    assert decided(None, images=127) == 64
    assert decided(None, images=127, accumulate=4) == 16  # 4 · 16 of 127
    assert decided(None, images=3) == 2


def test_what_else_is_as_large_as_the_weights_counts() -> None:
    """AdamW's second moment and an average are 89.6 MB more."""
    assert decided(1_320_000_001, optimizer="adamw", ema_decay=0.9) == 64
    assert decided(1_320_000_001 + 112_000_000, optimizer="adamw", ema_decay=0.9) == 128  # 89.6 / 0.8


PLAIN = Resolved(
    data="0" * 32,
    device="cpu",
    precision="float32",
    weights=StartingWeights(kind="scratch"),
    hflip=0.5,
    views=("identity",),
)


def test_what_was_decided_is_the_experiment_of_a_recipe_that_names_it() -> None:
    """`recipe_hash` tells them apart, as they ask for something else; without the decision nothing is known."""
    auto, named, other = recipe_with(), recipe_with(batch_size=64), recipe_with(batch_size=32)
    with_64 = PLAIN.model_copy(update={"batch_size": 64})
    assert resolved_hash(auto, with_64) == resolved_hash(named, PLAIN) != resolved_hash(other, PLAIN)
    assert resolved_hash(auto, PLAIN) is None
    assert recipe_hash(auto) != recipe_hash(named)
    assert describe_decisions(with_64, mixed=True)["batch_size"] == "64"


def test_a_step_of_more_images_than_there_are_is_refused() -> None:
    few = {"name": "pathmnist", "limit": 9}
    build_recipe({"dataset": few, "training": {"batch_size": "auto", "accumulate": 4}})
    with pytest.raises(RecipeError, match="accumulate"):
        build_recipe({"dataset": few, "training": {"batch_size": "auto", "accumulate": 5}})
    with pytest.raises(RecipeError, match="auto or a whole number from 2"):
        recipe_with(batch_size="most")
