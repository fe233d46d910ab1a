"""Images as data, as those of `samples.png` and `batch.png`: what a terminal needs to show them itself."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.store.run_directory import read_object
from engine.report.content import FirstBatch, RunReport


def stored_images(images: np.ndarray) -> dict[str, Any]:
    """`images` in base64, and their `shape`. images: uint8 [M, H, W] or [M, H, W, 3]."""
    images = np.ascontiguousarray(images, dtype=np.uint8)
    return {"shape": list(images.shape), "images": base64.b64encode(images.tobytes()).decode()}


def write_batch_json(path: FileOrPath, batch: FirstBatch | None) -> None:
    """The images, for each its label and its partner's, and λ. Raises OSError, ValueError without a batch."""
    if batch is None:
        raise ValueError("the training images could not be read")
    values = {
        **stored_images(batch.images),
        "labels": batch.labels,
        "partners": batch.partners,
        "weight": batch.weight,
        "batch_size": batch.size,
        "steps": batch.steps,
    }
    file_at(path).write(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")


def read_batch_json(path: FileOrPath) -> FirstBatch | None:
    """None where the file is missing or damaged."""
    values = read_object(path)
    if values is None:
        return None
    try:
        images = np.frombuffer(base64.b64decode(values["images"]), np.uint8).reshape(values["shape"])
        labels, partners = tuple(map(str, values["labels"])), values["partners"]
        mixed = tuple(map(str, partners)) if partners is not None else None
        weight, size, steps = float(values["weight"]), int(values["batch_size"]), str(values["steps"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    alike = images.ndim in (3, 4) and len(images) == len(labels) and (mixed is None or len(mixed) == len(labels))
    return FirstBatch(images, labels, mixed, weight, size, steps) if alike and len(images) else None


def spread_rows(labels: np.ndarray, count: int) -> np.ndarray:
    """Rows of a split, at most `count`, spread evenly over it and over its classes: int64 [M], rising.

    Images of one's own lie in the order of their classes, so the first rows would show one class. The same labels give
    the same rows on every machine. labels: int64 [N] or [N, K].
    """
    order = np.argsort(labels, kind="stable") if labels.ndim == 1 else np.arange(len(labels))
    shown = min(count, len(order))
    return np.sort(order[np.arange(shown) * len(order) // max(1, shown)])


def write_samples_json(path: FileOrPath, report: RunReport) -> None:
    """`images`: base64 of uint8 `shape`; for each its row in the split, `truth`, `said`, and the score of that.

    Raises OSError.
    """
    rows = [int(row) for row in report.sample_rows]
    values = {
        **stored_images(report.samples),
        "rows": rows,
        "truth": [_class_names(report, report.labels[row]) for row in rows],
        "said": [_class_names(report, report.predictions[row]) for row in rows],
        "scores": [_score(report, row) for row in rows],
    }
    file_at(path).write(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")


def _class_names(report: RunReport, label: np.ndarray) -> str:
    """A class's name; for several labels per image, all that are set."""
    if report.task == "multi_label":
        return ", ".join(name for name, set_ in zip(report.class_names, label, strict=True) if set_) or "none"
    return report.class_names[int(label)]


def _score(report: RunReport, row: int) -> float | None:
    """The score of the prediction; None for several labels, or where it is undefined."""
    if report.task == "multi_label":
        return None
    score = float(report.scores[row][int(report.predictions[row])])
    return score if np.isfinite(score) else None
