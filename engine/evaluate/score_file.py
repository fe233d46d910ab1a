"""Official MedMNIST result files: no header, a line an image: its index, then a score a class."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.contract.datasets import SPLITS, datasets
from engine.contract.errors import DataError, UsageError
from engine.contract.files import written_whole

_NAME = re.compile(r"(?P<dataset>[a-z0-9]+?mnist|cells)(_(?P<size>64|128|224))?_(?P<split>train|val|test).*\.csv")


@dataclass(frozen=True)
class ScoreFileName:
    dataset: str
    size: int  # pixels a side
    split: str

    def write(self, auc: float, acc: float, run: str) -> str:
        """`breastmnist_test_[AUC]0.913_[ACC]0.846@run.csv`; the size is blank at 28 px."""
        size = "" if self.size == 28 else f"_{self.size}"
        return f"{self.dataset}{size}_{self.split}_[AUC]{auc:.3f}_[ACC]{acc:.3f}@{run}.csv"


def parse_name(name: str) -> ScoreFileName:
    """What a result file's name says. Raises UsageError."""
    match = _NAME.fullmatch(name)
    if match is None or match["dataset"] not in datasets():
        raise UsageError(
            f"Expected a name such as breastmnist_test_[AUC]0.913_[ACC]0.846@run.csv, found {name[:100]!r}.",
            f"It starts with the data set, its size if not 28, and the split ({', '.join(SPLITS)}).",
        )
    return ScoreFileName(match["dataset"], int(match["size"] or 28), match["split"])


def write_scores(path: Path, scores: np.ndarray) -> None:
    """Write scores [N, K] so that they read back exactly."""
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for index, row in enumerate(scores.astype(np.float64).tolist()):
            writer.writerow([index, *map(repr, row)])


def read_scores(path: Path, images: int, classes: int) -> np.ndarray:
    """Scores float64 [N, K] of a result file, sorted by index as the official evaluator does. Raises DataError."""
    rows: dict[int, list[float]] = {}
    width = None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if not row:
                    continue
                index, values = int(row[0]), [float(value) for value in row[1:]]
                width = width or len(values)
                if len(values) != width or index in rows:
                    found = f"index {index} twice" if index in rows else f"{len(values)} scores"
                    raise DataError(
                        f"{path}, line {number}: expected {width} scores a line, found {found}.", "Mend it."
                    )
                rows[index] = values
    except OSError as error:
        raise DataError(f"The result file {path} cannot be read: {error.strerror}.", "Check its name.") from None
    except ValueError as error:
        raise DataError(f"{path}: expected an index and scores on each line: {str(error)[:80]}.", "Mend it.") from None
    if sorted(rows) != list(range(images)):
        raise DataError(
            f"{path}: expected the indices 0 to {images - 1}, found {len(rows)} others.", "Is it this split's?"
        )
    if width not in {classes, 1} or (width == 1 and classes != 2):
        raise DataError(f"{path}: expected {classes} scores a line, found {width}.", "Is it this data set's?")
    scores = np.array([rows[index] for index in range(images)], dtype=np.float64)
    return np.column_stack([1 - scores, scores]) if width == 1 else scores
