"""The fields of training techniques: off by default, and refused where they cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from engine.contract.recipe.conflicts import external_conflicts
from engine.contract.recipe.identity import identity, recipe_hash
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.schema import fields
from engine.contract.wire.errors import RecipeError

TECHNIQUES = {
    "model.stochastic_depth": 0.1,
    "training.accumulate": 2,
    "training.focal_gamma": 2.0,
    "training.sampling": "weighted",
    "training.sampling_power": 1.0,
    "training.cutmix_alpha": 1.0,
    "training.swa_start": 5,
    "augmentation.crop_area": 0.5,
    "augmentation.trivial_augment": 1.0,
    "augmentation.erasing": 0.25,
    "runtime.processes": 2,
}


def with_field(path: str, value: Any) -> dict[str, dict[str, Any]]:
    section, _, name = path.partition(".")
    return {section: {name: value}}


@pytest.mark.parametrize("path", TECHNIQUES)
def test_each_is_advanced_off_by_default_and_makes_another_run_only_where_it_is_on(path: str) -> None:
    spec, plain = fields()[path], build_recipe({})
    assert spec.advanced and spec.identity
    assert path not in identity(plain)
    assert recipe_hash(build_recipe(with_field(path, spec.default))) == recipe_hash(plain)
    assert recipe_hash(build_recipe(with_field(path, TECHNIQUES[path]))) != recipe_hash(plain)


@pytest.mark.parametrize(
    ("values", "path", "words"),
    [
        (
            {"model": {"name": "densenet121", "stochastic_depth": 0.1}},
            "model.stochastic_depth",
            "has no meaning for densenet121, which has no residual branches to skip: write `stochastic_depth: null`",
        ),
        (
            {"training": {"batch_size": 6}, "runtime": {"processes": 4}},
            "runtime.processes",
            "must be at most 3 for batches of 6 images, of which each process needs two, found 4: write `processes: 3`",
        ),
        (
            {"runtime": {"processes": 2, "device": "cuda:1"}},
            "runtime.processes",
            "must be 1 with `device: cuda:1`, found 2: write `processes: 1`, or `device: auto` for the first GPUs, or "
            "the CPU",
        ),
        (
            {"training": {"swa_start": 61}},
            "training.swa_start",
            "must be at most epochs (60), found 61: write `swa_start: 60` or null",
        ),
        (
            {"training": {"swa_start": 5, "ema_decay": 0.9}},
            "training.swa_start",
            "cannot be combined with training.ema_decay, which is 0.9: one average is evaluated, so set one of the two "
            "to null",
        ),
        (
            {"training": {"sampling": "balanced", "class_weights": "balanced"}},
            "training.class_weights",
            "cannot be balanced with `sampling: balanced`, which corrects for rare classes already: "
            "write `class_weights: none`",
        ),
        (
            {"dataset": {"name": "breastmnist"}, "training": {"batch_size": 128, "accumulate": 5}},
            "training.accumulate",
            "must be at most 4 for 546 training images in batches of 128, found 5: write `accumulate: 4`",
        ),
        (
            {"dataset": {"name": "chestmnist"}, "training": {"sampling": "weighted"}},
            "training.sampling",
            "must be shuffled for chestmnist, whose images have several labels at once: write `sampling: shuffled`",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(values: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        build_recipe(values)
    (problem,) = caught.value.problems
    assert (".".join(problem.path), problem.message) == (path, words)


def test_the_least_and_the_most_that_are_allowed_are() -> None:
    allowed: list[dict[str, Any]] = [
        {"dataset": {"name": "breastmnist"}, "training": {"batch_size": 128, "accumulate": 4}},
        {"model": {"name": "densenet121", "stochastic_depth": 0.0}},
        {"training": {"swa_start": 60}},
        {"training": {"sampling": "weighted", "class_weights": "balanced"}},
    ]
    for values in allowed:
        assert external_conflicts(build_recipe(values)) == []


def test_steps_and_copies_of_the_weights_are_counted_with_them() -> None:
    training = build_recipe({"training": {"batch_size": 32, "accumulate": 4}}).training
    assert (training.images_per_step, training.weight_copies) == (128, 2)
    assert build_recipe({"training": {"optimizer": "nadamw", "swa_start": 3}}).training.weight_copies == 4
