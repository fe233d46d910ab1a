"""Batches: every image once, wherever the images stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.stand_in import job_for, tiny_recipe
from engine.contract.recipe.reader import build_recipe
from engine.data.batches import Batches, Split, in_order, make_split, steps_per_epoch, storage_for
from engine.run import prepare

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
    batches = Batches(make_split(images, labels, "ram", CPU), size, lambda epoch: order)
    fetched = [batches.fetch(0, step) for step in range(batches.steps)]
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
    orders = [np.random.default_rng(epoch).permutation(50) for epoch in (0, 1)]
    steps = [(0, s) for s in (0, 1, 2, 2, 6, 3, 0, 6, 5)] + [(1, 6), (0, 0), (1, 1), (0, 2)]
    every = {name: Batches(split, 8, orders.__getitem__) for name, split in splits.items()}
    for epoch, step in steps:
        rows = orders[epoch][step * 8 : (step + 1) * 8]
        expected = images[rows][:, None] if channels == 1 else images[rows].transpose(0, 3, 1, 2)
        for name, batches in every.items():
            batch, targets = batches.fetch(epoch, step)
            assert batch.dtype == torch.uint8
            np.testing.assert_array_equal(batch.numpy(), expected, err_msg=f"{name}, step {step}")
            np.testing.assert_array_equal(targets.numpy(), labels[rows], err_msg=f"{name}, step {step}")
    for batches in every.values():
        batches.close()


def test_a_mapped_split_is_read_ahead_by_one_thread_and_ram_by_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    readers: list[str] = []
    gather = Split.gather

    def noted(self: Split, rows: np.ndarray, **options: bool) -> torch.Tensor:
        readers.append(threading.current_thread().name)
        return gather(self, rows, **options)

    monkeypatch.setattr(Split, "gather", noted)
    images, labels = numbered(40)
    for storage, held in (("ram", images), ("mapped", mapped(images, tmp_path))):
        readers.clear()
        batches = Batches(make_split(held, labels, storage, CPU), 10, lambda epoch: np.arange(40))  # type: ignore[arg-type]
        for step in range(batches.steps):
            batches.fetch(0, step)
        batches.close()
        assert len(readers) == 4, "each batch is read once"
        assert set(readers) == {"prefetch" if storage == "mapped" else threading.current_thread().name}
    assert "prefetch" not in [thread.name for thread in threading.enumerate()]


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
    ("wanted", "images", "model", "free_memory", "free_on_device", "storage"),
    [
        # on the CPU: half of what the model leaves
        ("auto", 4 * GB, 0, 8 * GB, None, "ram"),
        ("auto", 4 * GB + 1, 0, 8 * GB, None, "mapped"),
        ("auto", 3 * GB, 2 * GB, 8 * GB, None, "ram"),  # (8 - 2) / 2 = 3
        ("auto", 3 * GB + 1, 2 * GB, 8 * GB, None, "mapped"),
        ("auto", 1, 9 * GB, 8 * GB, None, "mapped"),  # the model alone does not fit
        ("ram", 9 * GB, 0, 8 * GB, None, "ram"),
        ("mapped", 1, 0, 8 * GB, None, "mapped"),
        ("device", 9 * GB, 0, 8 * GB, None, "ram"),  # there the device's memory is RAM
        # with a GPU: 0.8 of what is free there holds both, and RAM has no model to hold
        ("auto", 6 * GB, 2 * GB, 1 * GB, 10 * GB, "device"),  # 6 + 2 = 0.8 x 10
        ("auto", 6 * GB + 1, 2 * GB, 100 * GB, 10 * GB, "ram"),
        ("auto", 6 * GB + 1, 2 * GB, 12 * GB, 10 * GB, "mapped"),
        ("auto", 6 * GB, 9 * GB, 12 * GB, 10 * GB, "ram"),  # half of 12, whatever the model takes on the device
        ("device", 7 * GB, 9 * GB, 1 * GB, 8 * GB, "device"),
        ("ram", 1, 0, 8 * GB, 8 * GB, "ram"),
        ("mapped", 1, 0, 8 * GB, 8 * GB, "mapped"),
    ],
)
def test_images_are_stored_as_the_recipe_sets_or_where_the_model_leaves_enough(
    wanted: str, images: int, model: int, free_memory: int, free_on_device: int | None, storage: str
) -> None:
    assert storage_for(wanted, images, model, free_memory, free_on_device) == storage


def test_images_give_way_to_a_model_that_needs_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNet-18 at 28 px, batches of 512: 6.5 MB an image, and six times 45 MB of weights are about 3.6 GB."""
    storages = {}
    for batch_size in (16, 512):
        recipe = tiny_recipe(
            dataset={"limit": None},
            model={"name": "resnet18_adapted", "pretrained": False},
            training={"batch_size": batch_size, "amp": False},
        )
        with job_for(recipe, tmp_path) as job:
            monkeypatch.setattr(prepare, "free_memory", lambda: 3 * GB)
            storages[batch_size] = prepare.prepare(job, build_recipe(recipe)).resolved.storage
    assert storages == {16: "ram", 512: "mapped"}
