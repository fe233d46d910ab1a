"""Images that are read into memory while training begins, and images of a pool that stay on disk."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.contract.data.datasets import datasets
from engine.contract.files.folders import Folder
from engine.contract.recipe.sources import DatasetSection
from engine.data import batches, in_memory
from engine.data.batches import load_splits, make_split
from engine.data.cache import Decoded
from engine.data.in_memory import InMemory
from engine.data.own.source import PooledImages

CPU = torch.device("cpu")
PATIENCE = 30.0


class SlowDisk:
    """Images of which each slice is read when the test says so; single rows come at once."""

    def __init__(self, images: np.ndarray) -> None:
        self._images = images
        self.shape, self.dtype, self.nbytes = images.shape, images.dtype, images.nbytes
        self.may_read = threading.Semaphore(0)

    def __getitem__(self, key: slice) -> np.ndarray:
        assert self.may_read.acquire(timeout=PATIENCE)
        return self._images[key]

    def take(self, rows: np.ndarray, **options: Any) -> np.ndarray:
        return self._images.take(rows, **options)


def random_images(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, 28, 28, 3), dtype=np.uint8)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_memory, "rows_per_step", lambda images: 10)


@pytest.mark.usefixtures("small_steps")
def test_each_batch_is_the_same_before_while_and_after_its_images_are_read_into_memory() -> None:
    images = random_images(95)
    disk = SlowDisk(images)
    split = make_split(InMemory(disk), np.zeros(95, np.int64), "ram", CPU)
    rows = np.array([94, 0, 7, 7, 50])
    for _ in range(10):  # steps of ten rows
        np.testing.assert_array_equal(split.gather(rows).numpy(), images[rows].transpose(0, 3, 1, 2))
        disk.may_read.release()
    assert isinstance(split.images, InMemory)
    split.images.reader.join(PATIENCE)
    assert not split.images.reader.is_alive()
    np.testing.assert_array_equal(split.gather(rows).numpy(), images[rows].transpose(0, 3, 1, 2))


def test_once_in_memory_nothing_is_read_from_the_disk_any_more(tmp_path: Path) -> None:
    images = random_images(40)
    np.save(tmp_path / "images.npy", images)
    held = InMemory(np.load(tmp_path / "images.npy", mmap_mode="r"))
    held.reader.join(PATIENCE)
    np.copyto(np.load(tmp_path / "images.npy", mmap_mode="r+"), 0)  # the file's bytes, in place
    np.testing.assert_array_equal(held.take(np.arange(40), axis=0), images)
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


@pytest.mark.usefixtures("small_steps")
def test_images_that_nobody_holds_any_more_are_not_read_on() -> None:
    disk = SlowDisk(random_images(100))
    held = InMemory(disk)
    reader = held.reader
    disk.may_read.release()
    del held
    gc.collect()
    disk.may_read.release()  # of the step that had begun
    reader.join(PATIENCE)
    assert not reader.is_alive()


def test_a_batch_of_pooled_images_reads_its_own_rows_only(tmp_path: Path) -> None:
    images = random_images(10_000)  # 23.5 MB
    np.save(tmp_path / "images.npy", images)
    order = np.random.default_rng(0).permutation(10_000)[:9_000]
    pooled: Any = PooledImages(np.load(tmp_path / "images.npy", mmap_mode="r"), order)
    split = make_split(pooled, np.zeros(9_000, np.int64), "mapped", CPU)
    rows = np.array([8_999, 1, 1, 4_000])
    tracemalloc.start()
    try:
        found = split.gather(rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found.numpy(), images[order[rows]].transpose(0, 3, 1, 2))
    assert peak < 1_000_000


def test_what_is_being_read_into_memory_counts_where_the_next_split_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "AT_ONCE", 0)
    images = random_images(100)
    for split in ("train", "val", "test"):
        np.save(tmp_path / f"{split}_images.npy", images)
        np.save(tmp_path / f"{split}_labels.npy", np.zeros((100, 1), np.uint8))
    data = Decoded(Folder(tmp_path).itself, datasets()["bloodmnist"], "generated", None, official=False, digests={})
    section = DatasetSection(name="bloodmnist")

    def storages(free: int) -> list[str]:
        loaded, _ = load_splits(data, ["train", "val", "test"], section, CPU, (free, None), 0)
        return [one.storage for one in loaded.values()]

    # half of the rest is left to others: room for 2.5, then 2, then 1.5 splits; with less for 1.5, 1, and 0.5
    assert storages(5 * images.nbytes) == ["ram", "ram", "ram"]
    assert storages(3 * images.nbytes) == ["ram", "ram", "mapped"]
