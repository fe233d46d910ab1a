"""The report's tables as CSV: for other programs, so floats are exact and the undefined is `nan`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.wire.protocol import ClassMetrics
from engine.contract.wire.text import without_formula
from engine.report.content import RunReport
from engine.report.text import writable

HISTORY = ("epoch", "lr", "train_loss", "train_acc", "val_loss", "val_auc", "val_acc", "val_f1", "best")
TABLE_LIMIT = 256 * 1024 * 1024  # bytes
PER_CLASS = ("epoch", "split", "name", "recall", "precision", "f1", "auc", "support")


def history_table(rows: Iterable[Mapping[str, object]]) -> bytes:
    """One row per epoch, below the header. A longer history begins with the same bytes."""
    return _lines([HISTORY]) + b"".join(map(history_row, rows))


def history_row(row: Mapping[str, object]) -> bytes:
    return _lines([[row.get(column) for column in HISTORY]])


def class_table(
    validation: Iterable[tuple[int, Sequence[ClassMetrics]]], kept: Mapping[int, bytes] | None = None
) -> bytes:
    """One row per class for each validated epoch, from 1, below the header. `kept`: rows of epochs that `validation`
    does not know, as `rows_by_epoch` reads them."""
    rows = {**(kept or {}), **{epoch: class_rows(epoch, "val", rows) for epoch, rows in validation}}
    return _lines([PER_CLASS]) + b"".join(rows[epoch] for epoch in sorted(rows))


def rows_by_epoch(path: FileOrPath, *, split: str | None = None) -> dict[int, bytes]:
    """The complete rows of an existing table, unchanged, by epoch; none where it cannot be read."""
    try:
        lines = file_at(path).content(TABLE_LIMIT).decode().split("\n")[1:-1]  # behind the last line end is half a row
    except (OSError, UnicodeDecodeError):
        return {}
    found: dict[int, bytes] = {}
    for line in lines:
        epoch, _, rest = line.partition(",")
        if epoch.isascii() and epoch.isdecimal() and (split is None or rest.startswith(f"{split},")):
            found[int(epoch[:9])] = found.get(int(epoch[:9]), b"") + line.encode() + b"\n"
    return found


def read_history(path: FileOrPath) -> list[dict[str, str]]:
    """The complete rows of `history.csv` that is there, as text by column. Nothing where it cannot be read."""
    header = ",".join(HISTORY)
    rows = (line for line in rows_by_epoch(path).values())
    return [row for line in rows for row in csv.DictReader([header, line.decode().rstrip("\n")])]


def class_rows(epoch: int | None, split: str, rows: Sequence[ClassMetrics]) -> bytes:
    """One row per class. `epoch`: of the weights, from 1; None where they are of no validated one."""
    values = PER_CLASS[2:]
    return _lines([epoch, split, *(getattr(row, column) for column in values)] for row in rows)


def write_history_csv(path: FileOrPath, report: RunReport) -> None:
    """The rows that are there stay; what is missing follows. Raises OSError."""
    file_at(path).extend_to(history_table(report.history))


def per_class_table(
    report: RunReport,
    validation: Iterable[tuple[int, Sequence[ClassMetrics]]],
    kept: Mapping[int, bytes] | None = None,
) -> bytes:
    """Validation epoch by epoch, and at the end the test split by the best weights. `kept`: as for `class_table`."""
    return class_table(validation, kept) + class_rows(report.best_epoch, "test", report.per_class)


def write_per_class_csv(
    path: FileOrPath,
    report: RunReport,
    validation: Iterable[tuple[int, Sequence[ClassMetrics]]],
    kept: Mapping[int, bytes] | None = None,
) -> None:
    """Raises OSError."""
    file_at(path).extend_to(per_class_table(report, validation, kept))


def write_confusion_csv(path: FileOrPath, report: RunReport) -> None:
    """Rows true, columns predicted; `label,tn,fp,fn,tp` for multi-label. Raises OSError."""
    header = ("label", "tn", "fp", "fn", "tp") if report.task == "multi_label" else ("true", *report.class_names)
    rows = zip(report.class_names, report.confusion.reshape(len(report.class_names), -1), strict=True)
    _write(path, header, ([name, *counts] for name, counts in rows))


def _write(path: FileOrPath, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    file_at(path).write(_lines([header, *rows]))


def _lines(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([_field(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _field(value: object) -> str:
    """One value."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return writable(without_formula(str(value)))
