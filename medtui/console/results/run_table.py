"""The table of runs: its columns, its sort keys, a row for a run and one for a published result."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType

from engine.contract.data.datasets import label_of
from engine.contract.data.published import Published
from engine.contract.wire.protocol import Ci95
from medtui.client.run_fields import DAMAGED, describe_subset, format_lr
from medtui.client.run_row import RunRow
from medtui.console.shell.keymap import bindings
from medtui.console.shell.marked_runs import RunMark
from medtui.console.shell.theme import series_colour
from medtui.console.widgets.table import DataTable
from medtui.text import UNDEFINED, clean, duration, number, shortened, started_at

MARK = ""  # the column of marks has no title
AUC_CI95, ACC_CI95 = "test AUC, 95 %", "test ACC, 95 %"
INSTEAD = {AUC_CI95: "test AUC", ACC_CI95: "test ACC"}  # a wide column instead of a narrow one
SETTINGS = ("data set", "model", "seed", "lr", "from", "hash")  # what distinguishes runs, before any result
RESULTS = ("epochs", "val AUC", "test AUC", AUC_CI95, "test ACC", ACC_CI95, "took", "tags")
ALWAYS = (MARK, "date", "test AUC")
# of what is equal in all runs, and results; the more important first
THEN = ("test ACC", AUC_CI95, ACC_CI95, "data set", "from", "model", "val AUC", "tags", "epochs")
LAST = ("seed", "lr", "hash", "took")
TAGS_WIDTH = WEIGHTS_WIDTH = 20  # columns, at most
Cells = dict[str, Text]  # by the column's title; what is left out is empty
SORTS: tuple[tuple[str, Callable[[RunRow], Any]], ...] = (
    ("date", lambda run_row: run_row.started or ""),
    ("data set", lambda run_row: run_row.dataset or ""),
    ("model", lambda run_row: run_row.model or ""),
    ("seed", lambda run_row: _known(run_row.seed)),
    ("lr", lambda run_row: _known(run_row.lr)),
    ("hash", lambda run_row: run_row.short_hash),
    ("val AUC", lambda run_row: _known(run_row.validation_auc)),
    ("test AUC", lambda run_row: _known(run_row.test_auc)),
    ("test ACC", lambda run_row: _known(run_row.test_acc)),
    ("outcome", lambda run_row: run_row.state),
    ("took", lambda run_row: _known(run_row.seconds)),
)


def _known(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value


@dataclass(frozen=True)
class Arrangement:
    """Which columns there are, from left to right, and which are shown first where there is little room."""

    columns: tuple[str, ...] = (MARK, "date", "outcome", *SETTINGS, *RESULTS)
    by_importance: tuple[str, ...] = (*ALWAYS, "outcome", *THEN, *LAST)


def arranged(rows: Collection[Cells], *, subsets: bool) -> Arrangement:
    """Settings in which the runs differ stand before those that say the same of each, and are shown first.

    `rows`: those of runs, without published results. `subsets`: is one of them not on the complete, real data set? Then
    no number stands without the data set: in its row, or above all of them where it is one.
    """
    values = {title: {cells[title].plain for cells in rows if title in cells} for title in SETTINGS}
    differing = tuple(title for title in SETTINGS if len(values[title]) > 1)
    equal = tuple(title for title in SETTINGS if title not in differing)
    label = ("data set",) if subsets and "data set" in differing else ()
    hashes = ("hash",) if "hash" in differing else ()
    settings = tuple(title for title in differing if title != "hash")
    order = tuple(dict.fromkeys((*ALWAYS, *label, "outcome", *settings, *hashes, *THEN, *LAST)))  # each once
    return Arrangement((MARK, "date", "outcome", *differing, *equal, *RESULTS), order)


def common_data(run_rows: Collection[RunRow]) -> str:
    """The data set of all of these runs, as their rows name it; empty where there are several."""
    found = {describe_data(run_row) for run_row in run_rows}
    return found.pop() if len(found) == 1 else ""


class RunTable(DataTable):
    """As many columns as fit, each as wide as its current contents."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("table")

    def __init__(self, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)
        self._cells: dict[str, Cells] = {}
        self._arrangement = Arrangement()

    @property
    def chosen(self) -> str | None:
        """The key of the row under the cursor."""
        return next(islice(self._cells, self.cursor_row, None), None)

    def holds(self, rows: dict[str, Cells], arrangement: Arrangement) -> bool:
        """Are these its rows already, as for most keys of a filter? Hundreds of rows take a tenth of a second."""
        return (
            arrangement == self._arrangement
            and list(rows) == list(self._cells)
            and all(_is_same(cells, self._cells[key]) for key, cells in rows.items())
        )

    def refill(self, rows: dict[str, Cells], arrangement: Arrangement) -> None:
        """Other rows, by their keys; the cursor goes to the first."""
        self._cells, self._arrangement = rows, arrangement
        widths = self._widths()
        self.clear(columns=True)
        for title in self._fitting(widths):
            self.add_column(Text(title), key=title, width=widths[title])
        for key, cells in rows.items():
            self.add_row(*(cell_of(cells, str(column.value)) for column in self.columns), key=key)

    def mark(self, key: str, cells: Cells) -> None:
        """Change the mark in the row's first column."""
        self._cells[key] = cells
        self.update_cell(key, MARK, cells[MARK])

    def on_resize(self) -> None:
        if self._fitting(self._widths()) == [column.value for column in self.columns]:
            return
        row = self.cursor_row
        with self.prevent(DataTable.RowHighlighted):
            self.refill(self._cells, self._arrangement)
            self.move_cursor(row=row)

    def _widths(self) -> dict[str, int]:
        """Of the columns that are not empty."""
        found = {}
        for title in self._arrangement.columns:
            if any(title in cells for cells in self._cells.values()):
                widest = max(cell_of(cells, title).cell_len for cells in self._cells.values())
                found[title] = max(len(title), widest)
        return found

    def _fitting(self, widths: dict[str, int]) -> list[str]:
        gaps = 2 * self.cell_padding
        room = (self.size.width or 80) - 1  # the scroll bar
        return fitting({title: width + gaps for title, width in widths.items()}, room, self._arrangement)


def fitting(widths: dict[str, int], room: int, arrangement: Arrangement) -> list[str]:
    """The columns that fit, in table order; chosen by importance, less important ones where space is left."""
    chosen: set[str] = set()
    for title in arrangement.by_importance:
        replaced = {INSTEAD[title]} & chosen if title in INSTEAD else set()
        cost = widths.get(title, 0) - sum(widths[narrow] for narrow in replaced)
        if title in widths and cost <= room:
            room -= cost
            chosen = chosen - replaced | {title}
    return [title for title in arrangement.columns if title in chosen]


def cell_of(cells: Cells, title: str) -> Text:
    """Where a wide column is empty, the content of the narrow one."""
    if title in cells or title not in INSTEAD:
        return cells.get(title, Text())
    return _left(cells.get(INSTEAD[title], Text()))


def _is_same(one: Cells, other: Cells) -> bool:
    """Texts that are equal may have different colours."""
    return one == other and all(cell.style == other[title].style for title, cell in one.items())


def _left(cell: Text) -> Text:
    return Text(cell.plain, cell.style)


def describe_data(run_row: RunRow) -> str:
    """The data set, and in short what makes its results incomparable with others: `breastmnist-64 (≤ 256)`."""
    name = label_of(run_row.dataset, run_row.size) if run_row.dataset else UNDEFINED
    subset = describe_subset(run_row)
    return clean(name, 24) + (f" ({subset})" if subset else "")


def run_cells(run_row: RunRow, mark: RunMark | None, *, dark: bool) -> Cells:
    """One row."""
    style = {"completed": "green", "failed": "red", "crashed": "red"}.get(run_row.state, "yellow")
    cells = {
        MARK: mark_text(mark, dark=dark),
        "date": Text(started_at(run_row.started or "")[:16]),
        "outcome": Text(f"{clean(run_row.state, 36)} {DAMAGED}" if run_row.damage else clean(run_row.state, 36), style),
        "data set": Text(describe_data(run_row)),
        "model": Text(clean(run_row.model or UNDEFINED, 20)),
        "from": Text(shortened(clean(run_row.weights or UNDEFINED, 80).removeprefix("from "), WEIGHTS_WIDTH)),
        "seed": Text(number(run_row.seed, 0), justify="right"),
        "lr": Text(format_lr(run_row.lr), justify="right"),
        "hash": Text(clean(run_row.short_hash, 12)),
        "epochs": Text(run_row.epochs, justify="right"),
        "val AUC": Text(number(run_row.validation_auc), justify="right"),
        "test AUC": Text(number(run_row.test_auc), justify="right"),
        "test ACC": Text(number(run_row.test_acc), justify="right"),
        "took": Text(duration(run_row.seconds), justify="right"),
    }
    if run_row.labels.tags:
        cells["tags"] = Text(shortened(clean(" ".join(run_row.labels.tags), 200), TAGS_WIDTH), "cyan")
    for title, value, ci95 in (
        (AUC_CI95, run_row.test_auc, run_row.test_auc_ci95),
        (ACC_CI95, run_row.test_acc, run_row.test_acc_ci95),
    ):
        if value is not None:
            cells[title] = Text.assemble(number(value), (f" {format_ci95(ci95)}", "dim"))
    return cells


def mark_text(mark: RunMark | None, *, dark: bool) -> Text:
    """The letter of a marked run, in its colour."""
    if mark is None:
        return Text(" ")
    return Text(mark.sign, "bold rgb({},{},{})".format(*series_colour(mark.colour, dark=dark)))


def format_ci95(ci95: Ci95 | None) -> str:
    """As short as possible: `.835–.968`; a dash where it is unknown."""
    if ci95 is None:
        return UNDEFINED
    low, high = (f"{end:.3f}".removeprefix("0") for end in ci95)
    return f"{low}–{high}"


def published_cells(one: Published) -> Cells:
    """Its name is shown where a run has its time."""
    values = {
        "date": one.method.removeprefix("Google "),
        "outcome": "published",
        "data set": label_of(one.dataset, one.size),
        "test AUC": number(one.auc, 3),
        "test ACC": number(one.acc, 3),
    }
    right = ("test AUC", "test ACC")
    return {
        title: Text(words, "dim italic", justify="right" if title in right else "left")
        for title, words in values.items()
    }
