"""Augmentation of a batch compared with torchvision's transforms, sample by sample, with parameters per image."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.transforms import v2

from benchmarks.rows import Effort, Row, alternating, at_least, seconds
from engine.data.augment import Augmentation, augment, sample, unit_range
from engine.randomness import generator

BATCH, SIDE = 128, 28
GOAL = 50
DEFAULT = Augmentation(hflip=0.5, rotation=10, brightness=0.2, contrast=0.2)  # the recipe's
COLOURED = Augmentation(hflip=0.5, rotation=10, brightness=0.2, contrast=0.2, saturation=0.2)
# without a goal: what they cost is to be known; each alone, with the flip that usually goes with it
MORE = (
    ("TrivialAugment", Augmentation(hflip=0.5, trivial_augment=1.0)),
    ("random resized crop", Augmentation(hflip=0.5, crop_area=0.35)),
    ("random erasing", Augmentation(hflip=0.5, erasing=0.25, fill=(0.0, 0.0, 0.0))),
    ("all three", Augmentation(hflip=0.5, crop_area=0.35, trivial_augment=1.0, erasing=0.25, fill=(0.0, 0.0, 0.0))),
)


def measure(effort: Effort) -> list[Row]:
    rows = []
    for words, augmentation in (("default", DEFAULT), ("with saturation", COLOURED), *MORE):
        ours, other = batch_times(augmentation, effort.pairs)
        what = f"augmentation, {BATCH} RGB images, {words}"
        ms = [[1e3 * taken for taken in side] for side in (ours, other)]
        row = Row("augmentation", what, "ms", ms[0], "torchvision v2 per sample", ms[1], faster=True)
        rows.append(row if (words, augmentation) in MORE else at_least(row, GOAL))
    return rows


def torchvisions(augmentation: Augmentation) -> v2.Compose:
    """The same by torchvision: from uint8 [H, W, 3] to float in 0 … 1."""
    bilinear, parts = v2.InterpolationMode.BILINEAR, [v2.ToImage()]
    if augmentation.crop_area < 1:
        parts.append(v2.RandomResizedCrop(SIDE, (augmentation.crop_area, 1.0), interpolation=bilinear, antialias=True))
    parts.append(v2.RandomHorizontalFlip(augmentation.hflip))
    if augmentation.rotation:
        parts.append(v2.RandomRotation(augmentation.rotation, bilinear))
    if augmentation.brightness or augmentation.contrast:
        parts.append(v2.ColorJitter(augmentation.brightness, augmentation.contrast, augmentation.saturation or None))
    if augmentation.trivial_augment:
        parts.append(v2.TrivialAugmentWide(interpolation=bilinear))
    parts.append(v2.ToDtype(torch.float32, scale=True))
    if augmentation.erasing:
        parts.append(v2.RandomErasing(augmentation.erasing))
    return v2.Compose(parts)


def batch_times(augmentation: Augmentation, pairs: int, repeats: int = 5) -> tuple[list[float], list[float]]:
    """Seconds per batch, from uint8 as a split gathers it to float in 0 … 1: ours and torchvision's.

    Ours is the mean of `repeats` batches, as a single one is too short to time.
    """
    images = generator(7, "images").integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)
    gathered = torch.from_numpy(images).permute(0, 3, 1, 2)
    transform = torchvisions(augmentation)

    def ours() -> None:
        for step in range(repeats):
            augment(unit_range(gathered), augmentation, sample(augmentation, BATCH, generator(7, "augment", 0, step)))

    def other() -> None:
        torch.stack([transform(image) for image in images])

    ours()  # both once first: nothing is measured that happens once
    other()
    return alternating(pairs, lambda: seconds(ours) / repeats, lambda: seconds(other))
