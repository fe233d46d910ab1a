"""What stands out in a run: each rule fires on a real run that was made to show it, in words and as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from driving import Engine, json_lines, medtui, tiny, yaml_of

from engine.data import cells

pytestmark = pytest.mark.slow  # real runs; the rules themselves are tested every day in contract/test_findings.py

Change = Callable[[str, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # (split, images, labels) → the same
STEADY = {"schedule": "constant", "warmup_epochs": 0, "mixup_alpha": 0.0, "label_smoothing": 0.0, "patience": None}
PLAIN = {"hflip": 0.0, "vflip": 0.0, "rotation": 0.0, "brightness": 0.0, "contrast": 0.0}


generate = cache(cells.generate)


def archive(path: Path, change: Change, images: int = 96) -> dict[str, Any]:
    """A data set of cells, changed: as a recipe's `dataset` names it."""
    arrays = {}
    for split in ("train", "val", "test"):
        picture, labels = generate(split)
        arrays[f"{split}_images"], labels = change(split, picture[:images], labels[:images].reshape(-1))
        arrays[f"{split}_labels"] = labels.reshape(-1, 1)
    np.savez(path, **arrays)
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return {"name": "bloodmnist", "archive": str(path), "md5": md5, "limit": None}


def run(folder: Path, expected: int = 0, **sections: dict[str, Any]) -> None:
    """Train in a workspace of its own, as a user does."""
    (folder / "recipe.yaml").write_text(yaml_of(tiny(**sections)))
    done = medtui("run", "recipe.yaml", "--workspace", ".", cwd=folder)
    assert done.returncode == expected, done.stdout + done.stderr


def shown(folder: Path) -> dict[str, dict[str, Any]]:
    """The findings of the run, by code."""
    found = json.loads(medtui("show", "last", "--json", "--workspace", ".", cwd=folder).stdout)["findings"]
    return {one["code"].removeprefix("findings."): one for one in found}


def epochs(folder: Path) -> list[dict[str, Any]]:
    """As the engine journaled them."""
    journal = next(folder.glob("outputs/*/events.jsonl")).read_text()
    return [event for event in json_lines(journal) if event["event"] == "epoch.finished"]


def test_a_rate_far_too_high_shows_as_a_spike_and_as_nothing_learned(tmp_path: Path) -> None:
    run(tmp_path, training={**STEADY, "epochs": 6, "lr": 10.0, "optimizer": "sgd", "momentum": 0.99})
    found = shown(tmp_path)
    losses = {epoch["epoch"]: epoch["train_loss"] for epoch in epochs(tmp_path)}
    spike = found["loss_spike"]
    assert spike["evidence"]["loss"] == losses[spike["evidence"]["epoch"]] == max(losses.values())
    assert spike["evidence"]["level"] <= np.log(8)
    assert f"of epoch {spike['evidence']['epoch']} is" in spike["message"]
    assert "training.lr" in spike["hint"]
    assert "not_learning" in found


def test_weights_that_overflow_end_in_a_loss_that_is_no_number(tmp_path: Path) -> None:
    """Each step multiplies the weights by 1 - 10 · 10 = -99."""
    diverging = {**STEADY, "lr": 10.0, "weight_decay": 10.0, "momentum": 0.0, "optimizer": "sgd", "batch_size": 8}
    run(tmp_path, expected=5, training={**diverging, "epochs": 50})
    finding = shown(tmp_path)["non_finite_loss"]
    assert finding["message"] == f"Non-finite loss: {finding['evidence']['what']}"
    assert "at step" in finding["message"]
    assert "training.lr" in finding["hint"]


def test_a_rate_of_nothing_learns_nothing(tmp_path: Path) -> None:
    run(tmp_path, training={**STEADY, "epochs": 6, "lr": 1e-9, "min_lr": 1e-9})
    finding = shown(tmp_path)["not_learning"]
    assert abs(finding["evidence"]["auc"] - 0.5) < 0.1
    assert finding["evidence"]["last"] > 0.95 * finding["evidence"]["first"]


def test_shuffled_labels_are_learned_and_hold_for_no_other_image(tmp_path: Path) -> None:
    def shuffled(split: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images, np.random.default_rng(len(split)).permutation(labels)

    data = archive(tmp_path / "shuffled.npz", shuffled)
    run(tmp_path, dataset=data, training={**STEADY, "epochs": 16, "lr": 3e-3, "optimizer": "adamw"}, augmentation=PLAIN)
    finding = shown(tmp_path)["at_chance"]
    assert finding["evidence"]["last"] < 0.95 * finding["evidence"]["first"]
    last = [epoch["validation"]["auc"] for epoch in epochs(tmp_path)[-3:]]
    assert finding["evidence"]["auc"] == pytest.approx(sum(last) / 3)


def test_a_class_that_training_lacks_is_never_predicted(tmp_path: Path) -> None:
    def without_platelets(split: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kept = labels != 7 if split == "train" else labels >= 0
        return images[kept], labels[kept]

    data = archive(tmp_path / "without.npz", without_platelets)
    run(tmp_path, dataset=data, training={**STEADY, "epochs": 16, "lr": 3e-3, "optimizer": "adamw"})
    assert "platelet" in shown(tmp_path)["never_predicted"]["evidence"]["classes"]
    text = medtui("show", "last", "--workspace", ".", cwd=tmp_path).stdout
    assert "stands out: Never predicted: " in text


def test_few_images_and_no_restraint_overfit(tmp_path: Path) -> None:
    def half_wrong(split: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wrong = np.random.default_rng(1).integers(0, 8, len(labels))
        return images, np.where(np.arange(len(labels)) % 2 == 0, labels, wrong) if split == "train" else labels

    data = archive(tmp_path / "noisy.npz", half_wrong)
    training = {**STEADY, "epochs": 30, "lr": 3e-3, "optimizer": "adamw", "weight_decay": 0.0}
    run(tmp_path, dataset=data, training=training, augmentation=PLAIN)
    finding = shown(tmp_path)["overfitting"]
    losses = [epoch["validation"]["loss"] for epoch in epochs(tmp_path)]
    assert finding["evidence"]["epoch"] == 1 + losses.index(min(losses))
    assert finding["evidence"]["now"] > finding["evidence"]["before"]
    book = openpyxl.load_workbook(next(tmp_path.glob("outputs/*/reports/report.xlsx")))
    rows = {row[0].value: [cell.value for cell in row[1:3]] for row in book["Summary"].iter_rows() if row[0].value}
    assert rows["What stands out"] == [finding["message"], finding["hint"]]


def test_a_run_that_ends_too_soon(tmp_path: Path) -> None:
    training = {**STEADY, "epochs": 14, "lr": 2e-4, "optimizer": "adamw"}
    run(tmp_path, dataset={"limit": 96}, training=training, augmentation=PLAIN)
    finding = shown(tmp_path)["still_rising"]
    assert finding["evidence"]["auc"] == epochs(tmp_path)[-1]["validation"]["auc"]
    assert finding["hint"] == "Raise training.epochs."


def test_early_stopping_before_the_rate_was_lowered(tmp_path: Path) -> None:
    training = {"epochs": 200, "lr": 0.3, "schedule": "cosine", "warmup_epochs": 0, "patience": 1}
    run(tmp_path, training=training)
    done = len(epochs(tmp_path))
    finding = shown(tmp_path)["stopped_before_annealing"]
    assert finding["evidence"]["epoch"] == done < 100
    assert finding["evidence"]["fraction"] > 0.5


def test_a_validation_split_of_one_class_has_no_auc(tmp_path: Path) -> None:
    def of_one_class(split: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images, labels if split == "train" else np.zeros_like(labels)

    data = archive(tmp_path / "one.npz", of_one_class)
    run(tmp_path, dataset=data, training={"epochs": 2})
    assert shown(tmp_path)["undefined_auc"]["evidence"] == {"n": 2, "epochs": 2, "reason": "only one class is present"}


def test_input_that_stalls(tmp_path: Path) -> None:
    """`slow_input` is an engine whose batches come late from its seventh epoch on."""
    recipe = tiny(training={**STEADY, "epochs": 10}, dataset={"limit": 32}, evaluation={"test": False})
    doubles = str(Path(__file__).parents[1] / "doubles")
    engine = Engine(tmp_path, module="slow_input", environment={"PYTHONPATH": doubles})
    try:
        engine.train(recipe)
        engine.wait_for_event("run.finished")
    finally:
        engine.kill()
    evidence = shown(tmp_path)["slowed"]["evidence"]
    assert (evidence["first"], evidence["last"]) == (7, 10)
    assert evidence["pace"] < evidence["usual"] / 4
