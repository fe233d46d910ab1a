"""Official MedMNIST result files: no header, one line per image: its index, then one score per class."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.contract.data.datasets import SPLITS, datasets
from engine.contract.files.folders import FileOrPath, file_at, named_by_user
from engine.contract.wire.errors import DataError, UsageError
from engine.sentences import ScoreFile

_NAME = re.compile(r"(?P<dataset>[a-z0-9]+?mnist|cells)(_(?P<size>64|128|224))?_(?P<split>train|val|test).*\.(?i:csv)")
# As medtui writes it for any images, also for features without the classifier
_WRITTEN = re.compile(
    r"(?P<images>.+?)(_(64|128|224))?_(train|val|test)_\[AUC\].*@(?P<run>.+?)(_(knn|probe))?\.(?i:csv)"
)


@dataclass(frozen=True)
class ScoreFileName:
    dataset: str
    size: int  # pixels per side
    split: str

    def write(self, auc: float, acc: float, run: str) -> str:
        """`breastmnist_test_[AUC]0.913_[ACC]0.846@run.csv`; the size is blank at 28 px."""
        size = "" if self.size == 28 else f"_{self.size}"
        return f"{self.dataset}{size}_{self.split}_[AUC]{auc:.3f}_[ACC]{acc:.3f}@{run}.csv"


def parse_name(name: str) -> ScoreFileName:
    """What a result file's name says. Raises UsageError."""
    if name.startswith("limited_"):
        raise UsageError(ScoreFile.LIMITED, name=name[:100])
    match = _NAME.fullmatch(name)
    facts = datasets().get(match["dataset"]) if match else None
    if facts is None and (own := _WRITTEN.fullmatch(name)):
        raise UsageError(ScoreFile.OWN_IMAGES, images=own["images"][:100], run=own["run"][:200])
    if match is None or facts is None or int(match["size"] or 28) not in facts.sizes:
        raise UsageError(ScoreFile.NAME, found=name[:100], splits=", ".join(SPLITS))
    return ScoreFileName(match["dataset"], int(match["size"] or 28), match["split"])


def write_scores(path: FileOrPath, scores: np.ndarray) -> None:
    """Write scores [N, K] so that they read back exactly."""
    with file_at(path).replacing_text() as file:
        writer = csv.writer(file)
        for index, row in enumerate(scores.astype(np.float64).tolist()):
            writer.writerow([index, *map(repr, row)])


def read_scores(path: Path, images: int, classes: int) -> np.ndarray:
    """Scores float64 [N, K] of a result file, sorted by index as the official evaluator does. Raises DataError."""
    rows: dict[int, list[float]] = {}
    width: int | None = None
    try:
        with io.TextIOWrapper(named_by_user(path).reading(), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                if not row:
                    continue
                number = reader.line_num
                index, values = _row(path, number, row)
                width = len(values) if width is None else width
                if index in rows:
                    raise DataError(ScoreFile.INDEX_TWICE, path=path, number=number, expected=width, index=index)
                if len(values) != width:
                    raise DataError(ScoreFile.WIDTH, path=path, number=number, expected=width, found=len(values))
                rows[index] = values
    except OSError as error:
        raise DataError(ScoreFile.UNREADABLE, path=path, reason=error.strerror) from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(ScoreFile.NOT_NUMBERS, path=path, reason=error) from None
    if sorted(rows) != list(range(images)):
        raise DataError(ScoreFile.INDICES, path=path, last=images - 1, found=len(rows))
    if width not in {classes, 1} or (width == 1 and classes != 2):
        raise DataError(ScoreFile.CLASSES, path=path, expected=classes, found=width)
    scores = np.array([rows[index] for index in range(images)], dtype=np.float64)
    return np.column_stack([1 - scores, scores]) if width == 1 else scores


def _row(path: Path, number: int, row: list[str]) -> tuple[int, list[float]]:
    try:
        return _index(row[0]), [float(value) for value in row[1:]]
    except ValueError as error:
        raise DataError(ScoreFile.LINE, path=path, number=number, reason=str(error)[:80]) from None


def _index(text: str) -> int:
    """`7`, or `7.0` as pandas writes an index of floats. Raises ValueError."""
    if not (number := float(text)).is_integer():
        raise ValueError(f"the index {text!r} is not an integer")
    return int(number)
