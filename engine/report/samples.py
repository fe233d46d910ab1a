"""The sample predictions as data: what a terminal needs to draw the pictures of `samples.png` itself."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from engine.contract.files import write_text
from engine.report.content import RunReport


def write_samples_json(path: Path, report: RunReport) -> None:
    """`images`: base64 of uint8 `shape`; for each its row in the split, `truth`, `said`, and the score of that.

    Raises OSError.
    """
    rows = [int(row) for row in report.sample_rows]
    images = np.ascontiguousarray(report.samples, dtype=np.uint8)
    values = {
        "shape": list(images.shape),
        "images": base64.b64encode(images.tobytes()).decode(),
        "rows": rows,
        "truth": [_words(report, report.labels[row]) for row in rows],
        "said": [_words(report, report.predictions[row]) for row in rows],
        "scores": [_score(report, row) for row in rows],
    }
    write_text(path, json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")


def _words(report: RunReport, label: np.ndarray) -> str:
    """A class's name; for several labels an image, all that are set."""
    if report.task == "multi_label":
        return ", ".join(name for name, set_ in zip(report.class_names, label, strict=True) if set_) or "none"
    return report.class_names[int(label)]


def _score(report: RunReport, row: int) -> float | None:
    """The score of what was said; None for several labels, or where it is undefined."""
    if report.task == "multi_label":
        return None
    score = float(report.scores[row][int(report.predictions[row])])
    return score if np.isfinite(score) else None
