"""Batches: every image once, wherever the images stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.batches import Batches, Split, in_order, make_split, steps_per_epoch, storage_for

CPU = torch.device("cpu")
GB = 10**9


def numbered(n: int, channels: int = 1, side: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Images whose first pixel is their number, and labels that are three times it."""
    draws = np.random.default_rng(n)
    shape = (n, side, side) if channels == 1 else (n, side, side, 3)
    images = draws.integers(0, 256, shape, dtype=np.uint8)
    images[:, 0, 0] = np.arange(n).reshape(-1, 1) if channels == 3 else np.arange(n)
    return images, np.arange(n, dtype=np.int64) * 3


def mapped(images: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "images.npy", images)
    array: np.ndarray = np.load(folder / "images.npy", mmap_mode="r")
    assert isinstance(array, np.memmap)
    return array


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 120), st.integers(2, 40), st.integers(0, 99))
def test_an_epoch_sees_every_image_once_in_the_given_order_except_a_last_batch_of_one(
    n: int, size: int, seed: int
) -> None:
    images, labels = numbered(n)
    order = np.random.default_rng(seed).permutation(n)
    batches = Batches(make_split(images, labels, "ram", CPU), size)
    fetched = [batches.fetch(order, step) for step in range(batches.steps)]
    assert fetched
    seen = torch.cat([batch[:, 0, 0, 0] for batch, _ in fetched]).tolist()
    expected = order.tolist()[: n - 1] if n % size == 1 else order.tolist()
    assert seen == expected
    assert torch.cat([targets for _, targets in fetched]).tolist() == [3 * number for number in expected]
    assert all(2 <= len(batch) <= size for batch, _ in fetched)


@pytest.mark.parametrize(
    ("images", "batch_size", "steps"), [(10, 5, 2), (11, 5, 2), (12, 5, 3), (14, 5, 3), (2, 5, 1), (5, 5, 1), (1, 5, 0)]
)
def test_a_last_batch_of_one_is_dropped_and_of_two_is_kept(images: int, batch_size: int, steps: int) -> None:
    assert steps_per_epoch(images, batch_size) == steps


@pytest.mark.parametrize("channels", [1, 3])
def test_mapped_device_and_ram_give_the_same_batches_in_and_out_of_order(channels: int, tmp_path: Path) -> None:
    images, labels = numbered(50, channels)
    splits = {
        "ram": make_split(images, labels, "ram", CPU),
        "device": make_split(images, labels, "device", CPU),
        "mapped": make_split(mapped(images, tmp_path), labels, "mapped", CPU),
    }
    order = np.random.default_rng(0).permutation(50)
    other = np.random.default_rng(1).permutation(50)
    steps = [(order, s) for s in (0, 1, 2, 2, 6, 3, 0, 6, 5)] + [(other, 6), (order, 0), (other, 1), (order, 2)]
    every = {name: Batches(split, 8) for name, split in splits.items()}
    for which, step in steps:
        rows = which[step * 8 : (step + 1) * 8]
        expected = images[rows][:, None] if channels == 1 else images[rows].transpose(0, 3, 1, 2)
        for name, batches in every.items():
            batch, targets = batches.fetch(which, step)
            assert batch.dtype == torch.uint8
            np.testing.assert_array_equal(batch.numpy(), expected, err_msg=f"{name}, step {step}")
            np.testing.assert_array_equal(targets.numpy(), labels[rows], err_msg=f"{name}, step {step}")


def test_a_mapped_split_is_read_ahead_by_one_thread_and_ram_by_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    readers: list[str] = []
    gather = Split.gather

    def noted(self: Split, rows: np.ndarray) -> torch.Tensor:
        readers.append(threading.current_thread().name)
        return gather(self, rows)

    monkeypatch.setattr(Split, "gather", noted)
    images, labels = numbered(40)
    for storage, held in (("ram", images), ("mapped", mapped(images, tmp_path))):
        readers.clear()
        batches = Batches(make_split(held, labels, storage, CPU), 10)  # type: ignore[arg-type]
        for step in range(batches.steps):
            batches.fetch(np.arange(40), step)
        ahead = [name for name in readers if name != threading.current_thread().name]
        assert len(readers) == 4, "each batch is read once"
        assert len(ahead) == (3 if storage == "mapped" else 0)
        assert len(set(ahead)) <= 1


@pytest.mark.parametrize("storage", ["ram", "device", "mapped"])
@pytest.mark.parametrize("n", [1, 9, 10, 11])
def test_evaluation_sees_every_image_first_to_last_including_a_last_batch_of_one(
    storage: str, n: int, tmp_path: Path
) -> None:
    images, labels = numbered(n)
    held = mapped(images, tmp_path) if storage == "mapped" else images
    batches = list(in_order(make_split(held, labels, storage, CPU), 5))  # type: ignore[arg-type]
    assert [len(batch) for batch, _ in batches] == {1: [1], 9: [5, 4], 10: [5, 5], 11: [5, 5, 1]}[n]
    np.testing.assert_array_equal(torch.cat([batch for batch, _ in batches])[:, 0].numpy(), images)
    assert torch.cat([targets for _, targets in batches]).tolist() == labels.tolist()


def test_labels_are_integers_and_multi_labels_are_floats_for_bce() -> None:
    images, labels = numbered(6)
    assert make_split(images, labels, "ram", CPU).labels.dtype == torch.int64
    sets = np.eye(6, 4, dtype=np.int64)
    split = make_split(images, sets, "ram", CPU)
    assert split.labels.dtype == torch.float32
    assert split.labels.tolist() == sets.tolist()


@pytest.mark.parametrize(
    ("wanted", "images", "free_memory", "free_on_device", "storage"),
    [
        # on the CPU
        ("auto", 4 * GB, 8 * GB, None, "ram"),
        ("auto", 4 * GB + 1, 8 * GB, None, "mapped"),
        ("ram", 9 * GB, 8 * GB, None, "ram"),
        ("mapped", 1, 8 * GB, None, "mapped"),
        ("device", 9 * GB, 8 * GB, None, "ram"),  # there the device's memory is RAM
        # with a GPU
        ("auto", 4 * GB, 1 * GB, 8 * GB, "device"),
        ("auto", 4 * GB + 1, 100 * GB, 8 * GB, "ram"),
        ("auto", 4 * GB + 1, 8 * GB, 8 * GB, "mapped"),
        ("device", 7 * GB, 1 * GB, 8 * GB, "device"),
        ("ram", 1, 8 * GB, 8 * GB, "ram"),
        ("mapped", 1, 8 * GB, 8 * GB, "mapped"),
    ],
)
def test_images_are_stored_as_the_recipe_sets_or_where_half_of_free_memory_holds_them(
    wanted: str, images: int, free_memory: int, free_on_device: int | None, storage: str
) -> None:
    assert storage_for(wanted, images, free_memory, free_on_device) == storage
