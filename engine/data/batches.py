"""Splits of a data set in memory, on the device or mapped, and batches of them.

Images stay `uint8`, grey stays one channel, until a batch is made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from engine.contract.recipe.sources import DatasetSection
from engine.contract.recipe.steps import steps_per_epoch
from engine.contract.wire.resolved import Storage
from engine.data.cache import Decoded
from engine.randomness import generator


def storage_for(requested: str, images: int, free_memory: int, free_on_device: int | None) -> Storage:
    """Where a split's images are kept. Pure.

    images, free_memory, free_on_device: bytes; `free_on_device` is None when training on the CPU.
    Half of what is free stays free, for activations and for other users.
    """
    if requested == "mapped":
        return "mapped"
    if requested == "ram":
        return "ram"
    if free_on_device is not None and (requested == "device" or images <= free_on_device // 2):
        return "device"
    return "ram" if requested == "device" or images <= free_memory // 2 else "mapped"


@dataclass(frozen=True)
class Split:
    """The images and labels of one split, wherever they are."""

    images: np.ndarray | torch.Tensor  # uint8 [N, H, W] or [N, H, W, 3]; a tensor when on the device
    labels: torch.Tensor  # int64 [N], or float32 [N, K] for multi-label; on the device
    device: torch.device
    storage: Storage

    def __len__(self) -> int:
        return len(self.labels)

    def gather(self, rows: np.ndarray) -> torch.Tensor:
        """These images as uint8 [B, C, H, W], off the device unless they are stored there."""
        if isinstance(self.images, torch.Tensor):
            batch = self.images[torch.from_numpy(rows).to(self.device)]
        else:
            batch = torch.from_numpy(self.images[rows])
        return batch.unsqueeze(1) if batch.ndim == 3 else batch.permute(0, 3, 1, 2)

    def to_device(self, batch: torch.Tensor) -> torch.Tensor:
        if batch.device == self.device:
            return batch
        if self.device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(self.device, non_blocking=True)


def make_split(images: np.ndarray, labels: np.ndarray, storage: Storage, device: torch.device) -> Split:
    """A split in its storage. images: uint8 [N, H, W(, 3)]; labels: int64 [N] or [N, K]."""
    target = torch.from_numpy(labels)
    target = target.float() if labels.ndim == 2 else target
    held: np.ndarray | torch.Tensor = torch.from_numpy(images).to(device) if storage == "device" else images
    return Split(held, target.to(device), device, storage)


def load_splits(
    data: Decoded,
    splits: Sequence[str],
    section: DatasetSection,
    device: torch.device,
    free: Callable[[], tuple[int, int | None]],
) -> tuple[dict[str, Split], dict[str, np.ndarray]]:
    """The splits, and their labels on the CPU: int64 [N] or [N, K]. Raises DataError.

    `section`: of the recipe, which limits them and may name their storage. `free`: bytes free in memory and on the
    device, asked again for each split, as the one before took its part.
    """
    loaded: dict[str, Split] = {}
    labels = {}
    for split in splits:
        images, labels[split] = data.images(split, mapped=True), data.labels(split)
        rows = limited_rows(len(images), section.limit)
        if rows is not None:
            images, labels[split] = data.copied(images, split, rows), labels[split][rows]
        storage = storage_for(section.cache, images.nbytes, *free())
        if storage != "mapped" and rows is None:
            images = data.images(split, mapped=False)
        loaded[split] = make_split(images, labels[split], storage, device)
    return loaded, labels


def limited_rows(images: int, limit: int | None) -> np.ndarray | None:
    """Which images of a split a subset run uses, in order; None is all. The same for every seed."""
    if limit is None or limit >= images:
        return None
    rows: np.ndarray = np.sort(generator(0, "limit").permutation(images)[:limit])
    return rows


class Batches:
    """The training batches of an epoch in a given order, any of them at any time.

    A mapped split is read one batch ahead by one thread, which cannot change what is read.
    """

    def __init__(self, split: Split, batch_size: int) -> None:
        self.split = split
        self.batch_size = batch_size
        self.steps = steps_per_epoch(len(split), batch_size)
        self._reader = ThreadPoolExecutor(1, "prefetch") if split.storage == "mapped" else None
        self._ahead: tuple[bytes, Future[torch.Tensor]] | None = None

    def fetch(self, order: np.ndarray, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images uint8 [B, C, H, W] and labels of step `step` (from 0), on the device."""
        rows = self._rows(order, step)
        images = self._read(rows, self._rows(order, step + 1) if step + 1 < self.steps else None)
        labels = self.split.labels[torch.from_numpy(rows).to(self.split.device)]
        return self.split.to_device(images), labels

    def _rows(self, order: np.ndarray, step: int) -> np.ndarray:
        return order[step * self.batch_size : (step + 1) * self.batch_size]

    def _read(self, rows: np.ndarray, next_rows: np.ndarray | None) -> torch.Tensor:
        if self._reader is None:
            return self.split.gather(rows)
        ready = self._ahead
        images = ready[1].result() if ready and ready[0] == rows.tobytes() else self.split.gather(rows)
        self._ahead = None
        if next_rows is not None:
            self._ahead = (next_rows.tobytes(), self._reader.submit(self.split.gather, next_rows))
        return images


def in_order(split: Split, batch_size: int, part: range | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Every image once, first to last, or of a part: uint8 [B, C, H, W] and labels, on the device."""
    part = range(len(split)) if part is None else part
    for start in range(part.start, part.stop, batch_size):
        rows = np.arange(start, min(start + batch_size, part.stop))
        yield split.to_device(split.gather(rows)), split.labels[start : rows[-1] + 1]
