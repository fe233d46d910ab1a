"""Archives in the exact format of an official set, with generated images: for tests, demonstrations and teaching.

Nothing in them is a picture of anything. A class is a grating: its direction, its width and, in colour, its hue are of
the class; where it begins, its contrast, its brightness, what lies under it and the noise on it are of the image. So a
model learns them in a few epochs, and no pixel alone says the class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from engine.contract.data.archive_card import SYNTHETIC, SYNTHETIC_LICENCE, ArchiveCard
from engine.contract.data.datasets import SPLITS, DatasetFacts
from engine.data.archive_file import OnRead
from engine.data.packing import Array, card_for, refuse_full, write_archive, write_card

VERSION = 1  # of the images: another one generates others
BATCH = 4 * 1024 * 1024  # bytes of images that are generated at once
GROUND = 4  # waves under each image
LABELLED = 0.2  # of the images have a label, of several per image


def synthesised(
    facts: DatasetFacts, size: int, limit: int | None, target: Path, on_read: OnRead, *, replace_it: bool
) -> ArchiveCard:
    """Write the archive, and its card next to it. limit: of images per split. Raises OutputError, DataError."""
    splits = {split: min(n, limit or n) for split, n in facts.splits.items()}
    labels = {split: _labels(facts, split, n) for split, n in splits.items()}
    need = sum(splits.values()) * size * size * facts.channels
    shape = (size, size) if facts.channels == 1 else (size, size, 3)
    done = 0

    def parts(split: str) -> Iterator[np.ndarray]:
        nonlocal done
        step = max(1, BATCH // (size * size * facts.channels))
        for start in range(0, splits[split], step):
            images = _images(facts, size, split, start, labels[split][start : start + step])
            yield images
            done += images.nbytes
            on_read(f"generating the {split} images", done, need)

    arrays = []
    for split in SPLITS:
        arrays.append(Array(f"{split}_images", (splits[split], *shape), np.dtype(np.uint8), parts(split)))
        arrays.append(Array(f"{split}_labels", labels[split].shape, np.dtype(np.uint8), [labels[split]]))
    refuse_full(target, need)
    comment = SYNTHETIC + f", in the format of {facts.name} at {size} px, version {VERSION}".encode()
    md5 = write_archive(target, arrays, comment, replace=replace_it)
    generated = replace(
        facts, title=f"{facts.title} (synthetic)", splits=splits, synthetic=True, licence=SYNTHETIC_LICENCE
    )
    card = card_for(generated, size, {split: _counts(facts, labels[split]) for split in SPLITS}, md5)
    card = card.model_copy(update={"made_from": f"the format of {facts.name}"})
    write_card(target, card)
    return card


def _chance(facts: DatasetFacts, *words: object) -> np.random.Generator:
    key = blake2b(repr((VERSION, facts.name, *words)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def _labels(facts: DatasetFacts, split: str, n: int) -> np.ndarray:
    """uint8 [N, 1], every class as often, or [N, K]."""
    rng = _chance(facts, "labels", split)
    if facts.task == "multi_label":
        several: np.ndarray = (rng.random((n, facts.classes)) < LABELLED).astype(np.uint8)
        return several
    return rng.permutation(np.arange(n) % facts.classes).astype(np.uint8)[:, None]


def _counts(facts: DatasetFacts, labels: np.ndarray) -> np.ndarray:
    if facts.task == "multi_label":
        found: np.ndarray = labels.sum(axis=0, dtype=np.int64)
        return found
    return np.bincount(labels[:, 0], minlength=facts.classes)


def _images(facts: DatasetFacts, size: int, split: str, start: int, labels: np.ndarray) -> np.ndarray:
    """uint8 [B, S, S] or [B, S, S, 3]."""
    rng = _chance(facts, "images", size, split, start)
    n, channels = len(labels), facts.channels
    hot = labels if facts.task == "multi_label" else np.eye(facts.classes, dtype=np.uint8)[labels[:, 0]]
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    image = np.zeros((n, size, size, channels), np.float32)
    for number in range(facts.classes):
        has = np.nonzero(hot[:, number])[0]
        if not len(has):
            continue
        angle = np.pi * (number + rng.uniform(-0.2, 0.2, len(has))) / facts.classes
        waves = 2.5 + 1.5 * (number % 3)
        along = np.cos(angle)[:, None, None] * axis[None, None, :] + np.sin(angle)[:, None, None] * axis[None, :, None]
        phase = rng.uniform(0, 2 * np.pi, len(has))[:, None, None]
        grating = np.sin(2 * np.pi * waves * along + phase) * rng.uniform(0.12, 0.3, len(has))[:, None, None]
        image[has] += grating[..., None].astype(np.float32) * _hue(number, facts.classes, channels)
    image += _ground(rng, n, axis)
    image += rng.uniform(0.35, 0.65, (n, 1, 1, 1)).astype(np.float32)
    image += 0.06 * rng.standard_normal(image.shape, np.float32)
    levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return levels[..., 0] if channels == 1 else levels


def _ground(rng: np.random.Generator, n: int, axis: np.ndarray) -> np.ndarray:
    """float32 [B, S, S, 1]: long waves of all directions, of the image and no class: so no two images are alike."""
    ground = np.zeros((n, len(axis), len(axis)), np.float32)
    for _ in range(GROUND):
        across, down = rng.uniform(-1.8, 1.8, (2, n, 1, 1)).astype(np.float32)
        phase = rng.uniform(0, 2 * np.pi, (n, 1, 1)).astype(np.float32)
        ground += np.cos(2 * np.pi * (across * axis[None, None, :] + down * axis[None, :, None]) + phase)
    return 0.07 * ground[..., None]


def _hue(number: int, classes: int, channels: int) -> np.ndarray:
    """float32 [C], around 1."""
    if channels == 1:
        return np.ones(1, np.float32)
    turn = 2 * np.pi * (number / classes + np.arange(3) / 3)
    return (1 + 0.4 * np.cos(turn)).astype(np.float32)
