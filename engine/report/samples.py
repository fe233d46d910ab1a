"""The sample predictions as data: what a terminal needs to show the images of `samples.png` itself."""

from __future__ import annotations

import base64
import json

import numpy as np

from engine.contract.files.folders import FileOrPath, file_at
from engine.report.content import RunReport


def write_samples_json(path: FileOrPath, report: RunReport) -> None:
    """`images`: base64 of uint8 `shape`; for each its row in the split, `truth`, `said`, and the score of that.

    Raises OSError.
    """
    rows = [int(row) for row in report.sample_rows]
    images = np.ascontiguousarray(report.samples, dtype=np.uint8)
    values = {
        "shape": list(images.shape),
        "images": base64.b64encode(images.tobytes()).decode(),
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
