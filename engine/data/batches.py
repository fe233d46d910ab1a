"""Splits of a data set in memory, on the device or mapped, and batches of them.

Images stay `uint8`, grey stays one channel, until a batch is made of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

Place = Literal["device", "ram", "mapped"]


def place_for(wanted: str, images: int, free_memory: int, free_on_device: int | None) -> Place:
    """Where a split's images stay. Pure.

    images, free_memory, free_on_device: bytes; `free_on_device` is None when training on the CPU.
    Half of what is free stays free, for activations and for other people.
    """
    if wanted == "mapped":
        return "mapped"
    if wanted == "ram":
        return "ram"
    if free_on_device is not None and (wanted == "device" or images <= free_on_device // 2):
        return "device"
    return "ram" if wanted == "device" or images <= free_memory // 2 else "mapped"


@dataclass(frozen=True)
class Split:
    """The images and labels of one split, wherever they are."""

    images: np.ndarray | torch.Tensor  # uint8 [N, H, W] or [N, H, W, 3]; a tensor when on the device
    labels: torch.Tensor  # int64 [N], or float32 [N, K] for multi-label; on the device
    device: torch.device
    place: Place

    def __len__(self) -> int:
        return len(self.labels)

    def gather(self, rows: np.ndarray) -> torch.Tensor:
        """These images as uint8 [B, C, H, W], off the device unless they live there."""
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


def make_split(images: np.ndarray, labels: np.ndarray, place: Place, device: torch.device) -> Split:
    """A split at its place. images: uint8 [N, H, W(, 3)]; labels: int64 [N] or [N, K]."""
    target = torch.from_numpy(labels)
    target = target.float() if labels.ndim == 2 else target
    held: np.ndarray | torch.Tensor = torch.from_numpy(np.array(images)).to(device) if place == "device" else images
    return Split(held, target.to(device), device, place)


class Batches:
    """The training batches of an epoch in a given order, any of them at any time.

    A mapped split is read one batch ahead by one thread, which cannot change what is read.
    """

    def __init__(self, split: Split, batch_size: int) -> None:
        self.split = split
        self.batch_size = batch_size
        self.steps = steps_per_epoch(len(split), batch_size)
        self._reader = ThreadPoolExecutor(1, "prefetch") if split.place == "mapped" else None
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


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches an epoch. A last batch of one image is dropped: batch normalisation has nothing to average there."""
    whole, rest = divmod(images, batch_size)
    return whole + (rest > 1)


def in_order(split: Split, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Every image once, first to last: uint8 [B, C, H, W] and labels, on the device."""
    for start in range(0, len(split), batch_size):
        rows = np.arange(start, min(start + batch_size, len(split)))
        yield split.to_device(split.gather(rows)), split.labels[start : start + batch_size]
