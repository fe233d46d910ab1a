"""The table of runs: its columns, its sort keys, a row for a run and one for a published result."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType

from engine.contract.data.datasets import label_of
from engine.contract.data.published import Published
from engine.contract.wire.protocol import Ci95
from medtui.client.runs import RunRow
from medtui.console.shell.keymap import bindings
from medtui.console.widgets.table import DataTable
from medtui.text import UNDEFINED, clean, duration, number, shortened, started_at

DAMAGED = "!"  # some of its files cannot be read or trusted; the detail says which
MARK = ""  # the column of marks has no title
AUC_CI95, ACC_CI95 = "test AUC, 95 %", "test ACC, 95 %"
INSTEAD = {AUC_CI95: "test AUC", ACC_CI95: "test ACC"}  # a wide column instead of a narrow one
COLUMNS = (
    *(MARK, "date", "outcome", "data set", "model", "from", "epochs", "val AUC"),
    *("test AUC", AUC_CI95, "test ACC", ACC_CI95, "took", "tags"),
)
BY_IMPORTANCE = (
    *(MARK, "date", "data set", "test AUC", "outcome", "test ACC", "from", "model"),
    *(AUC_CI95, ACC_CI95, "val AUC", "tags", "epochs", "took"),
)
TAGS_WIDTH = WEIGHTS_WIDTH = 20  # columns, at most
Cells = dict[str, Text]  # by the column's title; what is left out is empty
SORTS: tuple[tuple[str, Callable[[RunRow], Any]], ...] = (
    ("date", lambda run_row: run_row.started or ""),
    ("data set", lambda run_row: run_row.dataset or ""),
    ("model", lambda run_row: run_row.model or ""),
    ("val AUC", lambda run_row: _known(run_row.validation_auc)),
    ("test AUC", lambda run_row: _known(run_row.test_auc)),
    ("test ACC", lambda run_row: _known(run_row.test_acc)),
    ("outcome", lambda run_row: run_row.state),
    ("took", lambda run_row: _known(run_row.seconds)),
)


def _known(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value


class RunTable(DataTable):
    """As many columns as fit, each as wide as its current contents."""

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
        """Change the mark in the row's first column."""
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
        """Of the columns that are not empty."""
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
    """The columns that fit, in table order; chosen by importance, less important ones where space is left."""
    chosen: set[str] = set()
    for title in BY_IMPORTANCE:
        replaced = {INSTEAD[title]} & chosen if title in INSTEAD else set()
        cost = widths.get(title, 0) - sum(widths[narrow] for narrow in replaced)
        if title in widths and cost <= room:
            room -= cost
            chosen = chosen - replaced | {title}
    return [title for title in COLUMNS if title in chosen]


def _cell(cells: Cells, title: str) -> Text:
    """Where a wide column is empty, the content of the narrow one."""
    return cells.get(title) or _left(cells.get(INSTEAD.get(title, ""), Text()))


def _left(cell: Text) -> Text:
    return Text(cell.plain, cell.style)


def describe_data(run_row: RunRow) -> str:
    """The data set, and in short what makes its results incomparable with others: `breastmnist-64 (≤ 256)`."""
    name = label_of(run_row.dataset, run_row.size) if run_row.dataset else UNDEFINED
    marks = [f"≤ {run_row.limit:,}"] if run_row.limit is not None else []
    if run_row.synthetic:
        marks.insert(0, "synth." if marks else "synthetic")
    return clean(name, 24) + (f" ({' '.join(marks)})" if marks else "")


def run_cells(run_row: RunRow, *, marked: bool) -> Cells:
    """One row."""
    style = {"completed": "green", "failed": "red", "crashed": "red"}.get(run_row.state, "yellow")
    cells = {
        MARK: Text("●" if marked else " ", "bold yellow"),
        "date": Text(started_at(run_row.started or "")[:16]),
        "outcome": Text(f"{clean(run_row.state, 36)} {DAMAGED}" if run_row.damage else clean(run_row.state, 36), style),
        "data set": Text(describe_data(run_row)),
        "model": Text(clean(run_row.model or UNDEFINED, 20)),
        "from": Text(shortened(clean(run_row.weights or UNDEFINED, 80).removeprefix("from "), WEIGHTS_WIDTH)),
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


def filter_text(run_row: RunRow) -> str:
    """The text that the filter searches."""
    words = (
        run_row.run,
        run_row.state,
        run_row.model or "",
        describe_data(run_row),
        *run_row.labels.tags,
        run_row.labels.note,
        *run_row.damage,
    )
    return " ".join(words).lower()
