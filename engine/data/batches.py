"""Splits of a data set in memory, on the device or mapped, and batches of them.

Images stay `uint8`, grey stays one channel, until a batch is made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import torch

from engine.contract.recipe.memory_estimate import USED
from engine.contract.recipe.sources import DatasetSection
from engine.contract.recipe.steps import steps_per_epoch
from engine.contract.wire.resolved import Storage
from engine.data.cache import Decoded
from engine.data.in_memory import AT_ONCE, InMemory
from engine.data.prefetch import Prefetcher, batches_ahead
from engine.data.transfer import Transfer, Transferred
from engine.device import to_device
from engine.randomness import generator


def storage_for(requested: str, images: int, model: int, free_memory: int, free_on_device: int | None) -> Storage:
    """Where a split's images are kept: the model comes first, the images get of the rest. Pure.

    images, free_memory, free_on_device: bytes; `free_on_device` is None when training on the CPU. model: bytes that
    weights, gradients and activations are going to take, where it is trained. In the memory, half of the rest stays
    free for other programs: mapped images are not much slower than those in RAM, and give way to them. On a device
    nobody else is expected.
    """
    if requested == "mapped":
        return "mapped"
    if requested == "ram":
        return "ram"
    if free_on_device is not None and (requested == "device" or images + model <= USED * free_on_device):
        return "device"
    rest = free_memory - (model if free_on_device is None else 0)
    return "ram" if requested == "device" or images <= rest // 2 else "mapped"


@dataclass(frozen=True)
class Split:
    """The images and labels of one split, wherever they are."""

    images: np.ndarray | InMemory | torch.Tensor  # uint8 [N, H, W] or [N, H, W, 3]; a tensor when on the device
    labels: torch.Tensor  # int64 [N], or float32 [N, K] for multi-label; on the device
    device: torch.device
    storage: Storage

    def __len__(self) -> int:
        return len(self.labels)

    def gather(self, rows: np.ndarray, *, pinned: bool = False) -> torch.Tensor:
        """These images as uint8 [B, C, H, W], off the device unless they are stored there.

        pinned: in memory that a GPU reads by itself.
        """
        if isinstance(self.images, torch.Tensor):
            return channels_first(self.images[to_device(rows, self.device)])
        batch = torch.empty((len(rows), *self.images.shape[1:]), dtype=torch.uint8, pin_memory=pinned)
        # `take` takes half the time of an index. "clip": the other modes make a copy more; all rows are in range
        self.images.take(rows, axis=0, out=batch.numpy(), mode="clip")
        return channels_first(batch)

    def to_device(self, batch: torch.Tensor) -> torch.Tensor:
        return to_device(batch, self.device)


def channels_first(images: torch.Tensor) -> torch.Tensor:
    """[B, H, W] or [B, H, W, C] as [B, C, H, W], without a copy."""
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)


def make_split(images: np.ndarray | InMemory, labels: np.ndarray, storage: Storage, device: torch.device) -> Split:
    """A split in its storage. images: uint8 [N, H, W(, 3)]; labels: int64 [N] or [N, K]."""
    target = torch.from_numpy(labels)
    target = target.float() if labels.ndim == 2 else target
    held = torch.from_numpy(images).to(device) if storage == "device" and isinstance(images, np.ndarray) else images
    return Split(held, target.to(device), device, storage)


def load_splits(
    data: Decoded,
    splits: Sequence[str],
    section: DatasetSection,
    device: torch.device,
    free: tuple[int, int | None],
    model: int,
) -> tuple[dict[str, Split], dict[str, np.ndarray]]:
    """The splits, and their labels on the CPU: int64 [N] or [N, K]. Raises DataError.

    `section`: of the recipe, which limits them and may name their storage. `free`: bytes free in memory and on the
    device. `model`: bytes that the model is going to take.
    """
    loaded: dict[str, Split] = {}
    labels = {}
    in_memory, on_device = free
    for split in splits:
        images, labels[split] = data.images(split), data.labels(split)
        rows = limited_rows(len(images), section.limit)
        if rows is not None:
            images, labels[split] = data.copied(images, split, rows), labels[split][rows]
        storage = storage_for(section.cache, images.nbytes, model, in_memory, on_device)
        held: np.ndarray | InMemory = images
        if storage == "ram" and rows is None and images.nbytes > AT_ONCE:
            held = InMemory(images)
        elif storage != "mapped" and rows is None:
            held = data.copied(images, split)
        loaded[split] = make_split(held, labels[split], storage, device)
        if storage == "ram":
            in_memory -= images.nbytes
        elif on_device is not None and storage == "device":
            on_device -= images.nbytes
    return loaded, labels


def limited_rows(images: int, limit: int | None) -> np.ndarray | None:
    """Which images of a split a subset run uses, in order; None is all. The same for every seed."""
    if limit is None or limit >= images:
        return None
    rows: np.ndarray = np.sort(generator(0, "limit").permutation(images)[:limit])
    return rows


class BatchReader:
    """Batches of a split by their rows, made ahead where that saves time. Close it after use."""

    def __init__(self, split: Split) -> None:
        self.ahead = batches_ahead(split.storage, split.device.type)
        self._split = split
        transfer = Transfer(split.device) if self.ahead and split.device.type == "cuda" else None
        self._prefetcher = Prefetcher(partial(_read, split, transfer)) if self.ahead else None

    def read(self, rows: Rows, following: Sequence[Rows]) -> torch.Tensor:
        """Images uint8 [B, C, H, W], on the device. following: those of the next batches, `ahead` of them."""
        if self._prefetcher is None:
            return self._split.to_device(self._split.gather(rows.values))
        found = self._prefetcher.get(rows, following)
        return found.arrived() if isinstance(found, Transferred) else self._split.to_device(found)

    def close(self) -> None:
        if self._prefetcher is not None:
            self._prefetcher.close()


@dataclass(frozen=True)
class Rows:
    """Of one batch; equal to others of the same epoch and step."""

    epoch: int
    step: int
    values: np.ndarray = field(compare=False)  # int64 [B]


def _read(split: Split, transfer: Transfer | None, rows: Rows) -> torch.Tensor | Transferred:
    """By the prefetching thread."""
    if transfer is None:
        return split.gather(rows.values)
    return transfer.begin(lambda: split.gather(rows.values, pinned=True))


class Batches:
    """The training batches of each epoch in its order, any of them at any time."""

    def __init__(self, split: Split, batch_size: int, order_of: Callable[[int], np.ndarray]) -> None:
        """order_of: the rows of an epoch, int64 [N], the same each time it is called."""
        self.split = split
        self.batch_size = batch_size
        self.steps = steps_per_epoch(len(split), batch_size)
        self._order_of = order_of
        self._on_device = lru_cache(maxsize=1)(lambda epoch: to_device(order_of(epoch), split.device))
        self._reader = BatchReader(split)

    def fetch(self, epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images uint8 [B, C, H, W] and labels of step `step` (from 0), on the device."""
        rows = self._on_device(epoch)[self._part(step)]
        if isinstance(self.split.images, torch.Tensor):
            images = channels_first(self.split.images[rows])
        else:
            last = min(step + self._reader.ahead, self.steps - 1)
            images = self._reader.read(
                self._rows(epoch, step), [self._rows(epoch, later) for later in range(step + 1, last + 1)]
            )
        return images, self.split.labels[rows]

    def close(self) -> None:
        self._reader.close()

    def _part(self, step: int) -> slice:
        return slice(step * self.batch_size, (step + 1) * self.batch_size)

    def _rows(self, epoch: int, step: int) -> Rows:
        return Rows(epoch, step, self._order_of(epoch)[self._part(step)])


def in_order(
    split: Split, batch_size: int, part: range | None = None
) -> Generator[tuple[torch.Tensor, torch.Tensor], None, None]:
    """Every image once, first to last, or of a part: uint8 [B, C, H, W] and labels, on the device."""
    part = range(len(split)) if part is None else part
    starts = range(part.start, part.stop, batch_size)
    every = [Rows(0, step, np.arange(start, min(start + batch_size, part.stop))) for step, start in enumerate(starts)]
    with closing(BatchReader(split)) as reader:
        for rows in every:
            images = reader.read(rows, every[rows.step + 1 : rows.step + 1 + reader.ahead])
            yield images, split.labels[rows.values[0] : rows.values[-1] + 1]
