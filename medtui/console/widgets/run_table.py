"""The table of runs: its columns, what it can be sorted by, a row for a run and one for a published result."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets import DataTable

from engine.contract.datasets import label_of
from medtui.client.intervals import Interval
from medtui.client.runs import Head
from medtui.console.keymap import bindings
from medtui.console.published import Published
from medtui.progress import started_at
from medtui.text import UNDEFINED, clean, duration, number, shortened

MARK = ""  # the column of marks has no title
AUC_BETWEEN, ACC_BETWEEN = "test AUC, 95 %", "test ACC, 95 %"
INSTEAD = {AUC_BETWEEN: "test AUC", ACC_BETWEEN: "test ACC"}  # a wide column in the place of a narrow one
COLUMNS = (
    *(MARK, "when", "outcome", "data set", "model", "epochs", "val AUC"),
    *("test AUC", AUC_BETWEEN, "test ACC", ACC_BETWEEN, "took", "tags"),
)
BY_IMPORTANCE = (
    *(MARK, "when", "data set", "test AUC", "outcome", "test ACC", "val AUC"),
    *(AUC_BETWEEN, ACC_BETWEEN, "model", "epochs", "tags", "took"),
)
TAGS_WIDTH = 20  # columns, at most
Cells = dict[str, Text]  # by the column's title; what is left out is empty
SORTS: tuple[tuple[str, Callable[[Head], Any]], ...] = (
    ("when", lambda head: head.started or ""),
    ("data set", lambda head: head.dataset or ""),
    ("model", lambda head: head.model or ""),
    ("val AUC", lambda head: _known(head.validation_auc)),
    ("test AUC", lambda head: _known(head.test_auc)),
    ("test ACC", lambda head: _known(head.test_acc)),
    ("outcome", lambda head: head.state),
    ("took", lambda head: _known(head.seconds)),
)


def _known(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value


class RunTable(DataTable[Text]):
    """As many columns as fit, each as wide as what stands in it now."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("table")

    def __init__(self, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)
        self._cells: dict[str, Cells] = {}

    @property
    def chosen(self) -> str | None:
        """The key of the row under the cursor."""
        return next(islice(self._cells, self.cursor_row, None), None)

    def refill(self, rows: dict[str, Cells]) -> None:
        """Other rows, by their keys; the cursor goes to the first."""
        self._cells = rows
        widths = self._widths()
        self.clear(columns=True)
        for title in self._fitting(widths):
            self.add_column(Text(title), key=title, width=widths[title])
        for key, cells in rows.items():
            self.add_row(*(_cell(cells, str(column.value)) for column in self.columns), key=key)

    def mark(self, key: str, cells: Cells) -> None:
        """Another sign in the row's first column."""
        self._cells[key] = cells
        self.update_cell(key, MARK, cells[MARK])

    def on_resize(self) -> None:
        if self._fitting(self._widths()) == [column.value for column in self.columns]:
            return
        row = self.cursor_row
        with self.prevent(DataTable.RowHighlighted):
            self.refill(self._cells)
            self.move_cursor(row=row)

    def _widths(self) -> dict[str, int]:
        """Of the columns in which something stands."""
        found = {}
        for title in COLUMNS:
            if any(title in cells for cells in self._cells.values()):
                widest = max(_cell(cells, title).cell_len for cells in self._cells.values())
                found[title] = max(len(title), widest)
        return found

    def _fitting(self, widths: dict[str, int]) -> list[str]:
        gaps = 2 * self.cell_padding
        room = (self.size.width or 80) - 1  # the scroll bar
        return fitting({title: width + gaps for title, width in widths.items()}, room)


def fitting(widths: dict[str, int], room: int) -> list[str]:
    """The columns that fit, as they stand in the table: the most important first, later ones where room is left."""
    chosen: set[str] = set()
    for title in BY_IMPORTANCE:
        replaced = {INSTEAD[title]} & chosen if title in INSTEAD else set()
        cost = widths.get(title, 0) - sum(widths[narrow] for narrow in replaced)
        if title in widths and cost <= room:
            room -= cost
            chosen = chosen - replaced | {title}
    return [title for title in COLUMNS if title in chosen]


def _cell(cells: Cells, title: str) -> Text:
    """Where a wide column has nothing of its own, what stands in the narrow one."""
    return cells.get(title) or _left(cells.get(INSTEAD.get(title, ""), Text()))


def _left(cell: Text) -> Text:
    return Text(cell.plain, cell.style)


def data_words(head: Head) -> str:
    """The data set, and in short what keeps its results from standing beside others: `breastmnist-64 (≤ 256)`."""
    name = label_of(head.dataset, head.size) if head.dataset else UNDEFINED
    marks = [f"≤ {head.limit:,}"] if head.limit is not None else []
    if head.synthetic:
        marks.insert(0, "synth." if marks else "synthetic")
    return clean(name, 24) + (f" ({' '.join(marks)})" if marks else "")


def run_cells(head: Head, *, marked: bool) -> Cells:
    """One row."""
    style = {"completed": "green", "failed": "red", "crashed": "red"}.get(head.state, "yellow")
    cells = {
        MARK: Text("●" if marked else " ", "bold yellow"),
        "when": Text(started_at(head.started or "")[:16]),
        "outcome": Text(clean(head.state, 36), style),
        "data set": Text(data_words(head)),
        "model": Text(clean((head.model or UNDEFINED).replace("_", "-"), 20)),
        "epochs": Text(head.epochs, justify="right"),
        "val AUC": Text(number(head.validation_auc), justify="right"),
        "test AUC": Text(number(head.test_auc), justify="right"),
        "test ACC": Text(number(head.test_acc), justify="right"),
        "took": Text(duration(head.seconds), justify="right"),
    }
    if head.labels.tags:
        cells["tags"] = Text(shortened(clean(" ".join(head.labels.tags), 200), TAGS_WIDTH), "cyan")
    for title, value, between in (
        (AUC_BETWEEN, head.test_auc, head.test_auc_between),
        (ACC_BETWEEN, head.test_acc, head.test_acc_between),
    ):
        if between is not None:
            cells[title] = Text.assemble(number(value), (f" {interval_words(between)}", "dim"))
    return cells


def interval_words(between: Interval) -> str:
    """As short as can be: `.835–.968`."""
    low, high = (f"{end:.3f}".removeprefix("0") for end in between)
    return f"{low}–{high}"


def published_cells(one: Published) -> Cells:
    """Its name stands where a run has its time."""
    values = {
        "when": one.method.removeprefix("Google "),
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
