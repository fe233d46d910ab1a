"""Training and validation loss on one axis: what only one of them holds is named."""

from __future__ import annotations

from typing import Any

import pytest

from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.training_loss import only_in_training


@pytest.mark.parametrize(
    ("training", "named"),
    [
        ({"mixup_alpha": 0.0}, []),
        ({}, ["MixUp"]),  # on by default
        ({"mixup_alpha": 0.2, "mixup_until": 0}, []),
        ({"mixup_alpha": 0.0, "cutmix_alpha": 1.0}, ["CutMix"]),
        ({"mixup_alpha": 0.0, "cutmix_alpha": 1.0, "mixup_until": 0}, []),
        ({"mixup_alpha": 0.0, "focal_gamma": 2.0, "sampling": "weighted"}, ["focal loss", "weighted sampling"]),
        ({"mixup_alpha": 0.0, "label_smoothing": 0.3}, ["label smoothing"]),
        (
            {"mixup_alpha": 0.2, "label_smoothing": 0.1, "class_weights": "balanced"},
            ["MixUp", "label smoothing", "class weights"],
        ),
    ],
)
def test_what_the_training_loss_contains_in_addition_to_cross_entropy_is_named(
    training: dict[str, Any], named: list[str]
) -> None:
    assert only_in_training(build_recipe({"training": training}).training) == named
