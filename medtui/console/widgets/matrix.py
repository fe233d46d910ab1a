"""A confusion matrix as shaded cells: shade and number agree."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.text import counted
from medtui.client.view import RunView
from medtui.text import clean, shortened

SHADES = " ░▒▓█"
LIMIT = 4 * 1024 * 1024  # bytes
MOST = 1000  # classes
WIDEST = 1000  # columns: no terminal is wider


@dataclass(frozen=True)
class Confusion:
    """Rows true, columns predicted; for multi-label sets tn fp fn tp per label."""

    names: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    multi_label: bool


def read_confusion(run: RunDirectory) -> Confusion | None:
    """The contents of `metrics/confusion.csv`; None where it is missing or damaged."""
    try:
        lines = (run.metrics / "confusion.csv").content(LIMIT).decode().splitlines()
        if len(lines) > MOST + 1:
            return None
        header, *rows = list(csv.reader(lines))
        names = tuple(row[0] for row in rows)
        counts = tuple(tuple(int(value) for value in row[1:]) for row in rows)
    except (OSError, ValueError, IndexError, csv.Error):
        return None
    if not rows or len(header) > MOST or any(len(row) != len(header) - 1 for row in counts):
        return None
    if not all(0 <= value <= 2**53 for row in counts for value in row):
        return None
    return Confusion(names, tuple(header[1:]), counts, multi_label=header[0] == "label")


def confusion_text(found: Confusion | None, width: int, *, legend: bool = True) -> Text:
    """Shaded by the fraction of the true class; the diagonal is correct."""
    if found is None:
        return Text("No confusion matrix yet: the test split is evaluated after training.", style="dim")
    names = [clean(name, 60) for name in found.names]
    name_width, cell = _widths(found, width)
    labels = found.columns if found.multi_label else tuple(str(number + 1) for number in range(len(found.columns)))
    room = max(1, (width - name_width - 3) // (cell + 1))
    text = Text(no_wrap=True)
    header = "".join(f"{clean(label, 8):^{cell}} " for label in labels[:room])
    text.append(f"{'true ↓  predicted →' if name_width > 20 else 'true':<{name_width + 3}}{header}\n", "dim")
    for number, (name, row) in enumerate(zip(names, found.counts, strict=True)):
        total = sum(row)
        short = shortened(name, name_width - 1)
        text.append(f"{'' if found.multi_label else number + 1:>2} {short}" + " " * (name_width - cell_len(short)))
        for column, value in enumerate(row[:room]):
            correct = not found.multi_label and column == number
            text.append(_shaded(value, total, cell, correct=correct))
            text.append(" ")
        text.append("\n")
    if len(labels) > room:
        text.append(f"not shown: {counted(len(labels) - room, 'more column')}\n", "dim")
    if legend:
        shades = "shade: fraction of the true class; the diagonal is correct"
        text.append("one row per label" if found.multi_label else shades, "dim")
    text.rstrip()
    return text


def _widths(found: Confusion, width: int) -> tuple[int, int]:
    """Of the names and of a cell, in columns."""
    longest = max(cell_len(clean(name, 60)) for name in found.names)
    largest = max((value for row in found.counts for value in row), default=0)
    cell = max(4, len(str(largest)) + 2)
    left = width - 3 - len(found.columns) * (cell + 1)  # by the counts
    return max(6, min(longest + 1, 24, max(left, width // 3))), cell


def width_of(found: Confusion) -> int:
    """Columns that the whole matrix takes."""
    name_width, cell = _widths(found, WIDEST)
    return name_width + 3 + len(found.columns) * (cell + 1)


def latest_confusion(view: RunView) -> Confusion | None:
    """Of the validation split, of the newest epoch that has one."""
    started, epochs = view.state.started, view.state.epochs
    counts = epochs[-1].confusion if epochs else None
    if started is None or not counts or len(counts) != len(started.class_names):
        return None
    if any(len(row) != len(counts) for row in counts):
        return None
    names = tuple(started.class_names)
    return Confusion(names, names, tuple(map(tuple, counts)), multi_label=False)


def _shaded(value: int, total: int, cell: int, *, correct: bool) -> Text:
    fraction = value / total if total else 0.0
    shade = SHADES[0 if value == 0 else max(1, min(4, int(fraction * 4) + 1))]
    colour = "green" if correct else "red" if value else "dim"
    words = str(value)
    padding = cell - len(words)
    return Text(
        shade * (padding - padding // 2) + words + shade * (padding // 2), style=f"bold {colour}" if value else "dim"
    )
