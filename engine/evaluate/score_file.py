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
    if name.startswith("limited_"):
        raise UsageError(
            f"{name[:100]!r} holds only a part of the split (dataset.limit), so it cannot be scored officially.",
            "Run without the limit.",
        )
    match = _NAME.fullmatch(name)
    facts = datasets().get(match["dataset"]) if match else None
    if match is None or facts is None or int(match["size"] or 28) not in facts.sizes:
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
    width: int | None = None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                if not row:
                    continue
                index, values = _row(path, reader.line_num, row)
                width = len(values) if width is None else width
                if len(values) != width or index in rows:
                    found = f"index {index} twice" if index in rows else f"{len(values)} scores"
                    raise _bad_line(path, reader.line_num, f"{width} scores and each index once, found {found}")
                rows[index] = values
    except OSError as error:
        raise DataError(f"The result file {path} cannot be read: {error.strerror}.", "Check its name.") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected lines of comma-separated numbers: {error}.", "Mend it.") from None
    if sorted(rows) != list(range(images)):
        hint = "Is it this split's?"
        raise DataError(f"{path}: expected the indices 0 to {images - 1}, found {len(rows)} others.", hint)
    if width not in {classes, 1} or (width == 1 and classes != 2):
        raise DataError(f"{path}: expected {classes} scores a line, found {width}.", "Is it this data set's?")
    scores = np.array([rows[index] for index in range(images)], dtype=np.float64)
    return np.column_stack([1 - scores, scores]) if width == 1 else scores


def _row(path: Path, line: int, row: list[str]) -> tuple[int, list[float]]:
    try:
        return int(row[0]), [float(value) for value in row[1:]]
    except ValueError as error:
        raise _bad_line(path, line, f"an index and scores: {str(error)[:80]}") from None


def _bad_line(path: Path, line: int, expected: str) -> DataError:
    return DataError(f"{path}, line {line}: expected {expected}.", "Mend it.")
