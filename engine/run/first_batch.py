"""Some images of the first training batch as the model sees them.

Everything is sampled by keys (`engine/randomness.py`), so this computes what the first step computes, from the same
draws, and takes none away: whether it happens, or when, changes no result. A finished run's can be computed, too.
"""

from __future__ import annotations

import numpy as np
import torch

from engine.contract.recipe.memory_estimate import with_batch_size
from engine.contract.recipe.sections import TrainingSection
from engine.contract.recipe.steps import SMALLEST_BATCH
from engine.data.augment import Augmentation, SampledAugmentation, augment, sample, unit_range
from engine.data.batches import limited_rows
from engine.randomness import generator
from engine.report.content import FirstBatch
from engine.run.prepare import LoadedData, augmentation_of, mixing_of, sampling_of
from engine.train.mixup import Mix, mix_for

SHOWN = 16  # images


def first_batch(loaded: LoadedData, batch_size: int | None = None) -> FirstBatch:
    """The first images of step 0 of epoch 0, after augmentation and MixUp, before normalisation.

    On the CPU, from the files of the cache: a few images, whatever the job has loaded. Raises OSError or DataError.
    """
    recipe, training = loaded.recipe, with_batch_size(loaded.recipe.training, batch_size or SMALLEST_BATCH)
    images, labels = loaded.data.images("train"), loaded.data.labels("train")
    used = limited_rows(len(images), recipe.dataset.limit)
    used = np.arange(len(images)) if used is None else used
    size = min(training.images_per_step, len(used))
    rows = used[sampling_of(training).order(labels[used], training.seed, 0)[:size]]
    augmentation = augmentation_of(recipe, loaded.facts, loaded.statistics)
    sampled = sample(augmentation, size, generator(training.seed, "augment", 0, 0))
    mix = mix_for(mixing_of(training), training.seed, 0, 0, size, (recipe.input_size, recipe.input_size))
    shown = np.arange(min(SHOWN, size))
    partners = np.asarray(mix.partners)[shown] if mix is not None else shown
    seen = [_changed(images[rows[chosen]], augmentation, sampled, chosen) for chosen in (shown, partners)]
    names = loaded.facts.class_names
    return FirstBatch(
        images=_pixels(_mixed(seen[0], seen[1], mix, recipe.input_size)),
        labels=_names(labels[rows[shown]], names),
        partners=_names(labels[rows[partners]], names) if mix is not None else None,
        weight=mix.weight if mix is not None else 1.0,
        size=size,
        steps=described(augmentation, mix, training),
    )


def _changed(
    images: np.ndarray, augmentation: Augmentation, sampled: SampledAugmentation, chosen: np.ndarray
) -> torch.Tensor:
    """Float [M, C, H, W] in 0 … 1. images: uint8 [M, H, W] or [M, H, W, 3]; chosen: int64 [M], where in the batch."""
    batch = torch.from_numpy(np.ascontiguousarray(images))
    batch = batch.unsqueeze(1) if batch.ndim == 3 else batch.permute(0, 3, 1, 2)
    return augment(unit_range(batch), augmentation, sampled.chosen(chosen))


def _mixed(images: torch.Tensor, partners: torch.Tensor, mix: Mix | None, side: int) -> torch.Tensor:
    """As the model gets them, but for its size. side: of its images, in pixels, which the box is of."""
    if mix is None:
        return images
    if mix.box is None:
        return images * mix.weight + partners * (1 - mix.weight)
    shown = images.shape[-1]
    top, bottom, left, right = (
        round(end * shown / side) for end in (mix.box.top, mix.box.bottom, mix.box.left, mix.box.right)
    )
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
    return mixed


def described(augmentation: Augmentation, mix: Mix | None, training: TrainingSection) -> str:
    """What was done to the images, in words."""
    flips = " and ".join(
        word for word, rate in (("left-right", augmentation.hflip), ("up-down", augmentation.vflip)) if rate
    )
    parts = [f"flips {flips}"] if flips else []
    if augmentation.rotation:
        parts.append(f"rotation ±{augmentation.rotation:g}°")
    names = ("shift", "scale", "brightness", "contrast", "saturation")
    parts += [f"{name} ±{amount:.0%}" for name in names if (amount := getattr(augmentation, name))]
    if augmentation.crop_area < 1:
        parts.append(f"crops from {augmentation.crop_area:.0%} of the area")
    if augmentation.trivial_augment:
        parts.append(f"TrivialAugment up to {augmentation.trivial_augment:.0%}")
    if augmentation.erasing:
        parts.append(f"erasing in {augmentation.erasing:.0%} of images")
    words = ", ".join(parts) if parts else "not augmented"
    if mix is None:
        return words
    name, alpha = ("MixUp", training.mixup_alpha) if mix.box is None else ("CutMix", training.cutmix_alpha)
    return f"{words}; {name} with α = {alpha:g}"


def _pixels(images: torch.Tensor) -> np.ndarray:
    """uint8 [M, H, W] or [M, H, W, 3] of float [M, C, H, W] in 0 … 1."""
    pixels = images.mul(255).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def _names(labels: np.ndarray, names: tuple[str, ...]) -> tuple[str, ...]:
    """By image the name of its class; for several labels all that are set. labels: int64 [M] or [M, K]."""
    if labels.ndim == 1:
        return tuple(names[int(label)] for label in labels)
    return tuple(", ".join(name for name, is_set in zip(names, row, strict=True) if is_set) or "none" for row in labels)
