"""The report's tables as CSV: for other programs, so floats are exact and the undefined is `nan`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from engine.contract.files import written_whole
from engine.report.content import RunReport
from engine.report.text import writable

HISTORY = ("epoch", "lr", "train_loss", "train_acc", "val_loss", "val_auc", "val_acc", "val_f1", "best")
PER_CLASS = ("name", "recall", "precision", "f1", "auc", "support")

# A spreadsheet runs a cell that begins like this as a formula, quoted or not (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_history_csv(path: Path, report: RunReport) -> None:
    """A row an epoch. Raises OSError."""
    _write(path, HISTORY, ([row.get(column) for column in HISTORY] for row in report.history))


def write_per_class_csv(path: Path, report: RunReport) -> None:
    """A row a class of the test split. Raises OSError."""
    _write(path, PER_CLASS, ([getattr(row, column) for column in PER_CLASS] for row in report.per_class))


def write_confusion_csv(path: Path, report: RunReport) -> None:
    """Rows true, columns predicted; `label,tn,fp,fn,tp` for multi-label. Raises OSError."""
    header = ("label", "tn", "fp", "fn", "tp") if report.task == "multi_label" else ("true", *report.class_names)
    rows = zip(report.class_names, report.confusion.reshape(len(report.class_names), -1), strict=True)
    _write(path, header, ([name, *counts] for name, counts in rows))


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([_field(name) for name in header])
        writer.writerows([_field(value) for value in row] for row in rows)


def _field(value: object) -> str:
    """One value. Text that a spreadsheet would run gets an apostrophe before it, which makes it text again."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    return writable(f"'{text}" if text.startswith(_FORMULA) else text)
