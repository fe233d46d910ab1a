"""The table of classes: one row per class, worst recall first, as text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from engine.contract.wire.protocol import ClassMetrics
from medtui.client.view import RunView
from medtui.console.widgets.bars import bar, sparkline
from medtui.text import clean, number, shortened

SPARK_EPOCHS = 10
EPOCHS_COLUMN = f"val, last {SPARK_EPOCHS}"  # recall on the validation split, epochs
BARS, BAR = "", 12  # the column of bars has no title; cells
COLUMNS = {"recall": 7, "Δ": 7, "precision": 10, "F1": 7, "AUC": 7, "support": 8, EPOCHS_COLUMN: 16}  # and their widths


@dataclass(frozen=True)
class ClassRow:
    """One class now, its change since the previous epoch, and its last epochs."""

    metrics: ClassMetrics
    delta: float | None  # of recall; None without a previous epoch
    history: tuple[float, ...]  # recall


def class_rows(view: RunView) -> tuple[str, list[ClassRow]]:
    """The split, and its classes: worst recall first, undefined last."""
    tested = [evaluation for evaluation in view.state.evaluations if evaluation.split == "test"]
    epochs = view.state.epochs
    history: dict[str, list[float]] = {}
    for epoch in epochs[-SPARK_EPOCHS:]:
        for row in epoch.per_class:
            history.setdefault(row.name, []).append(row.recall)
    now = tested[-1].per_class if tested else epochs[-1].per_class if epochs else []
    rows = []
    for row in now:
        past = history.get(row.name, [])
        delta = None if tested or len(past) < 2 else past[-1] - past[-2]
        rows.append(ClassRow(row, delta, tuple(past)))
    rows.sort(key=lambda row: (math.isnan(row.metrics.recall), row.metrics.recall))
    return ("test" if tested else "validation"), rows


def signed(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:+.3f}"


def classes_text(rows: list[ClassRow], width: int) -> Text:
    """A table to be read from the left: narrow terminals lose columns from the right."""
    if not rows:
        return Text("no epoch finished yet", style="dim")
    longest = max(cell_len(clean(row.metrics.name, 60)) for row in rows)
    name_width = max(8, min(longest, 30, width - 16))
    columns = dict(COLUMNS)
    if all(row.delta is None for row in rows):
        del columns["Δ"]
    if name_width + sum(columns.values()) + BAR + 1 <= width:
        columns = {"recall": columns.pop("recall"), BARS: BAR + 1, **columns}
    while len(columns) > 1 and name_width + sum(columns.values()) > width:
        columns.popitem()
    text = Text(no_wrap=True)
    header = "".join(f"{title:>{taken}}" for title, taken in columns.items())
    text.append(f"{'class':<{name_width}}{header}\n", "dim")
    for row in rows:
        cells = _cells(row)
        name = shortened(clean(row.metrics.name, 60), name_width)
        text.append(name + " " * (name_width - cell_len(name)), "bold")
        for title, taken in columns.items():
            words, style = cells[title]
            text.append(f"{words:>{taken}}", style)
        text.append("\n")
    text.rstrip()
    return text


def _cells(row: ClassRow) -> dict[str, tuple[str, str]]:
    """(words, style) of each column."""
    metrics = row.metrics
    rises = row.delta is not None and row.delta > 0
    falls = row.delta is not None and row.delta < 0
    return {
        "recall": (number(metrics.recall, 3), ""),
        BARS: (bar(metrics.recall if math.isfinite(metrics.recall) else 0.0, 1.0, BAR).plain, "cyan"),
        "Δ": (signed(row.delta), "green" if rises else "red" if falls else "dim"),
        "precision": (number(metrics.precision, 3), ""),
        "F1": (number(metrics.f1, 3), ""),
        "AUC": (number(metrics.auc, 3), ""),
        "support": (f"{metrics.support:,}", ""),
        EPOCHS_COLUMN: (sparkline(row.history), "cyan"),
    }
