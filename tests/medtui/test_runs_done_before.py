"""Which completed runs count as a suite's: those whose values the recipe would resolve to here."""

from __future__ import annotations

from typing import Any

import pytest

from engine.contract.recipe.reader import build_recipe
from engine.contract.wire.resolved import Resolved
from medtui.suites.known_runs import agrees

DONE: dict[str, Any] = {"data": "cells-v1", "device": "cpu", "precision": "float32", "hflip": 0.5}
DONE |= {"views": ["identity"], "weights": {"kind": "scratch"}}
CELLS = {"dataset": {"name": "cells"}, "model": {"name": "mini_cnn"}}


@pytest.mark.parametrize(
    ("sections", "resolved", "has_gpu", "expected"),
    [
        ({}, {}, False, True),
        ({}, {}, True, False),  # with a GPU, `auto` would be another device
        ({"runtime": {"device": "cpu"}}, {}, True, True),
        ({"runtime": {"device": "cuda:1"}}, {"device": "cuda"}, True, True),
        ({"training": {"amp": False}}, {}, False, True),
        ({"training": {"amp": False}}, {"precision": "bfloat16"}, False, False),
        ({"training": {"amp": True}}, {"precision": "bfloat16"}, False, True),
        ({"augmentation": {"hflip": 0.5}}, {}, False, True),
        ({"augmentation": {"hflip": 0.2}}, {}, False, False),
        ({"evaluation": {"tta": False}}, {"views": ["identity", "hflip"]}, False, False),
        ({}, {"weights": {"kind": "imagenet", "id": "x", "digest": "d"}}, False, False),  # mini_cnn has none
        ({}, {"weights": None}, False, False),
        ({"training": {"init_from": "last"}}, {}, False, False),
    ],
)
def test_a_run_counts_where_its_values_are_what_the_recipe_would_become(
    sections: dict[str, Any], resolved: dict[str, Any], has_gpu: bool, expected: bool
) -> None:
    recipe = build_recipe({**CELLS, **sections})
    assert agrees(recipe, Resolved.model_validate(DONE | resolved), has_gpu=has_gpu) is expected


def test_a_run_that_fell_back_to_random_weights_does_not_count_where_published_ones_are_found(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.contract.models.catalogue import spec_of

    recipe = build_recipe({"dataset": {"name": "cells"}, "model": {"name": "resnet18_adapted"}})
    fallen = Resolved.model_validate(DONE | {"weights": {"kind": "scratch", "note": "no ImageNet weights"}})
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
    monkeypatch.setenv("MEDTUI_OFFLINE", "1")
    assert agrees(recipe, fallen, has_gpu=False)
    weights = spec_of(recipe.model.name).weights
    assert weights is not None
    weights.path.parent.mkdir(parents=True)
    weights.path.touch()
    assert not agrees(recipe, fallen, has_gpu=False)
