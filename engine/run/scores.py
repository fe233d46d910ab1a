"""The scores of a split, as every job that evaluates computes them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import numpy as np
from torch import nn

from engine.data.augment import unit_range
from engine.data.batches import in_order
from engine.evaluate.predict import View, evaluation_batch, predict_scores
from engine.run.prepare import WithModel

# A split's scores, float32 [N, K], by a model and views; called with the images done so far, which may raise to end it
ScoresOf = Callable[[WithModel, nn.Module, str, list[View], Callable[[int], None]], np.ndarray]


def split_scores(
    prepared: WithModel,
    model: nn.Module,
    split: str,
    views: list[View],
    on_progress: Callable[[int], None],
    part: range | None = None,
) -> np.ndarray:
    """float32 [N, K]. `part`: which images; None is all."""
    size = evaluation_batch(prepared.recipe.input_size)
    with closing(in_order(prepared.splits[split], size, part)) as batches:
        return predict_scores(
            model,
            (images for images, _ in batches),
            lambda images: prepared.normalise(unit_range(images)),
            prepared.facts.task,
            views,
            prepared.precision.context,
            on_progress,
        )
