"""The scores of a split, as every job that evaluates computes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from engine.data.augment import unit_range
from engine.data.batches import in_order
from engine.evaluate.predict import View, evaluation_batch, predict_scores
from engine.run.prepare import WithModel


def split_scores(
    prepared: WithModel, model: nn.Module, split: str, views: list[View], on_progress: Callable[[int], None]
) -> np.ndarray:
    return predict_scores(
        model,
        (images for images, _ in in_order(prepared.splits[split], evaluation_batch(prepared.recipe.dataset.size))),
        lambda images: prepared.normalise(unit_range(images)),
        prepared.facts.task,
        views,
        prepared.precision.context,
        on_progress,
    )
