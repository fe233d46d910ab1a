"""Augmentation is drawn for many batches at once, and each batch gets what its own key gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from engine.data.augment import Augmentation, sample
from engine.randomness import generator
from engine.run import training
from engine.run.training import AugmentedEpochs

IMAGES, BATCH, SEED = 53, 8, 3


@pytest.mark.parametrize("drawn_at_once", [1, 16, 20, 10_000])
@pytest.mark.parametrize("more", [{}, {"crop_area": 0.5, "trivial_augment": 0.5, "erasing": 0.5}])
def test_every_batch_of_every_epoch_is_augmented_as_if_it_were_drawn_alone(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], drawn_at_once: int
) -> None:
    monkeypatch.setattr(training, "DRAWN_AT_ONCE", drawn_at_once)
    chosen = Augmentation(
        hflip=0.5, vflip=0.5, rotation=10, scale=0.1, shift=0.05, brightness=0.2, contrast=0.2, saturation=0.2, **more
    )
    prepared = SimpleNamespace(
        augmentation=chosen,
        splits={"train": range(IMAGES)},
        training=SimpleNamespace(seed=SEED, images_per_step=BATCH),
    )
    epochs = AugmentedEpochs(cast(Any, prepared))
    steps = [(epoch, step) for epoch in (1, 2) for step in range(7)]
    for epoch, step in [*steps, (1, 3), (2, 6)]:  # also back, as a resumed run begins anywhere
        alone = sample(chosen, min(BATCH, IMAGES - step * BATCH), generator(SEED, "augment", epoch, step))
        found = epochs.of(epoch, step)
        for name in ("flips", "affine", "colour", "erased"):
            assert np.array_equal(getattr(found, name), getattr(alone, name)), (epoch, step, name)
        if more:
            assert found.operations is not None and alone.operations is not None
            for one, other in zip(vars(found.operations).values(), vars(alone.operations).values(), strict=True):
                assert np.array_equal(one, other)
