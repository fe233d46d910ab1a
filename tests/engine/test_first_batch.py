"""The stored images of the first training batch are those that the first training step gets."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engine.contract.recipe.reader import build_recipe
from engine.data.batches import make_split
from engine.model.build import Normalisation
from engine.report.samples import read_batch_json, write_batch_json
from engine.run.first_batch import SHOWN, described, first_batch
from engine.run.prepare import augmentation_of, mixing_of
from engine.run.training import TrainingBatches
from engine.train.mixup import Mix, mix_for, mix_images

NAMES = ("a", "b", "c")
AUGMENTATION = {"rotation": 20, "shift": 0.1, "scale": 0.2, "brightness": 0.3, "contrast": 0.2, "saturation": 0.4}


class Stored:
    """The decoded training images in a cache."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._images, self._labels = images, labels

    def images(self, split: str) -> np.ndarray:
        assert split == "train"
        return self._images

    def labels(self, split: str) -> np.ndarray:
        return self._labels


def prepared(
    images: np.ndarray, labels: np.ndarray, augmentation: dict[str, Any] | None = None, **training: Any
) -> Any:
    """What a training run is made of, as far as its batches need it."""
    values = {"dataset": {"name": "bloodmnist"}, "augmentation": augmentation or AUGMENTATION}
    recipe = build_recipe({**values, "training": {"batch_size": 24, "seed": 5, **training}})
    facts = SimpleNamespace(class_names=NAMES, orientation_matters=False)
    channels = 1 if images.ndim == 3 else 3
    statistics = ([0.4] * channels, [0.2] * channels)
    return SimpleNamespace(
        recipe=recipe,
        training=recipe.training,
        facts=facts,
        data=Stored(images, labels),
        augmentation=augmentation_of(recipe, facts, statistics),  # type: ignore[arg-type]
        splits={"train": make_split(images, labels, "ram", torch.device("cpu"))},
        labels={"train": labels},
        statistics=statistics,
        normalise=Normalisation(*statistics),
    )


def first_step(given: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The input of step 0 of epoch 0, with the normalisation undone: float [B, 3, H, W]; labels; those mixed in."""
    training = given.recipe.training
    images, labels = TrainingBatches(given)(0, 0)
    mix = mix_for(mixing_of(training), training.seed, 0, 0, len(images), (images.shape[-2], images.shape[-1]))
    mixed = images if mix is None else mix_images(images, mix)
    return (mixed * 0.2 + 0.4).numpy(), labels.numpy(), None if mix is None else labels.numpy()[mix.partners]


@pytest.mark.parametrize("mixup", [0.0, 0.4], ids=["alone", "mixed"])
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_the_stored_images_are_those_of_the_first_step(channels: int, mixup: float) -> None:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (60, 14, 14, 3)[: 3 if channels == 1 else 4]).astype(np.uint8)
    given = prepared(images, rng.integers(0, 3, 60), mixup_alpha=mixup)
    found = first_batch(given)
    seen, labels, partners = first_step(given)
    stored = found.images if channels == 3 else np.repeat(found.images[..., None], 3, axis=3)
    assert len(stored) == SHOWN and found.size == 24
    np.testing.assert_allclose(stored / 255, seen[:SHOWN].transpose(0, 2, 3, 1), atol=0.5 / 255 + 1e-5)
    assert found.labels == tuple(NAMES[label] for label in labels[:SHOWN])
    assert found.partners == (None if partners is None else tuple(NAMES[label] for label in partners[:SHOWN]))


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_they_are_also_with_every_technique(channels: int) -> None:
    """Accumulated, drawn by class, cropped, changed by TrivialAugment, erased, with a box of another image."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (90, 28, 28, 3)[: 3 if channels == 1 else 4]).astype(np.uint8)
    more = {**AUGMENTATION, "crop_area": 0.5, "trivial_augment": 1.0, "erasing": 0.5}
    training = {"accumulate": 3, "sampling": "balanced", "mixup_alpha": 0.0, "cutmix_alpha": 1.0}
    given = prepared(images, (np.arange(90) > 70).astype(int), more, **training)
    found = first_batch(given)
    seen, labels, partners = first_step(given)
    stored = found.images if channels == 3 else np.repeat(found.images[..., None], 3, axis=3)
    assert len(stored) == SHOWN and found.size == 72 == len(labels)
    np.testing.assert_allclose(stored / 255, seen[:SHOWN].transpose(0, 2, 3, 1), atol=0.5 / 255 + 1e-5)
    assert partners is not None and found.partners == tuple(NAMES[label] for label in partners[:SHOWN])
    assert "TrivialAugment" in found.steps and found.steps.endswith("CutMix with α = 1")


def test_a_batch_smaller_than_the_sheet_is_stored_completely_with_all_labels_of_an_image() -> None:
    rng = np.random.default_rng(4)
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1]])
    given = prepared(rng.integers(0, 256, (5, 14, 14)).astype(np.uint8), labels, mixup_alpha=0)
    found = first_batch(given)
    assert len(found.images) == 5 and found.partners is None
    assert sorted(found.labels) == ["a, b, c", "a, c", "b", "c", "none"]


def test_computing_it_takes_no_random_number_from_anybody() -> None:
    given = prepared(np.zeros((40, 14, 14), np.uint8), np.zeros(40, np.int64), mixup_alpha=0.4)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index, union-attr]
    first_batch(given)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index, union-attr]
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


def test_what_was_stored_is_read_again(tmp_path) -> None:
    given = prepared(
        (np.arange(40 * 196) % 251).astype(np.uint8).reshape(40, 14, 14), np.arange(40) % 3, mixup_alpha=0.4
    )
    found, file = first_batch(given), tmp_path / "batch.json"
    write_batch_json(file, found)
    again = read_batch_json(file)
    assert again is not None and (again.images == found.images).all()
    assert (again.labels, again.partners, again.weight, again.size, again.steps) == (
        found.labels, found.partners, found.weight, found.size, found.steps,
    )  # fmt: skip
    content = file.read_text()
    write_batch_json(file, again)
    assert file.read_text() == content
    file.write_text(content.replace('"weight"', '"wait"'))
    assert read_batch_json(file) is None


def test_the_words_name_every_change() -> None:
    given = prepared(np.zeros((4, 14, 14), np.uint8), np.zeros(4, np.int64), mixup_alpha=0.4)
    words = described(given.augmentation, Mix(0.5, np.arange(4)), given.recipe.training)
    assert words == (
        "flips left-right, rotation ±20°, shift ±10%, scale ±20%, brightness ±30%, contrast ±20%, saturation ±40%; "
        "MixUp with α = 0.4"
    )
