"""The table of runs: its columns, what it can be sorted by, a row for a run and one for a published result."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets import DataTable

from engine.contract.datasets import label_of
from medtui.client.runs import Head
from medtui.console.keymap import bindings
from medtui.console.published import Published
from medtui.progress import started_at
from medtui.text import UNDEFINED, clean, duration, number

COLUMNS = ("", "when", "outcome", "data set", "model", "epochs", "val AUC", "test AUC", "test ACC", "took")
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
    """Columns as wide as what stands in them now; the widget itself only ever widens them, and when it is idle."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("table")

    def refill(self, rows: dict[str, list[Text]]) -> None:
        self.clear()
        for at, column in enumerate(self.ordered_columns):
            column.auto_width = False
            column.width = max([column.label.cell_len, *(cells[at].cell_len for cells in rows.values())])
        for key, cells in rows.items():
            self.add_row(*cells, key=key)


def data_words(head: Head) -> str:
    """The data set, and in short what keeps its results from standing beside others: `breastmnist-64 (≤ 256)`."""
    name = label_of(head.dataset, head.size) if head.dataset else UNDEFINED
    marks = ["synthetic"] * head.synthetic + ([f"≤ {head.limit:,}"] if head.limit is not None else [])
    return clean(name, 24) + (f" ({', '.join(marks)})" if marks else "")


def run_cells(head: Head, *, marked: bool) -> list[Text]:
    """One row, in the order of the columns."""
    style = {"completed": "green", "failed": "red", "crashed": "red"}.get(head.state, "yellow")
    model = (head.model or UNDEFINED).replace("_", "-")
    return [
        Text("●" if marked else " ", "bold yellow"),
        Text(started_at(head.started or "")[:16]),
        Text(clean(head.state, 36), style),
        Text(data_words(head)),
        Text(clean(model, 20)),
        Text(head.epochs, justify="right"),
        Text(number(head.validation_auc), justify="right"),
        Text(number(head.test_auc), justify="right"),
        Text(number(head.test_acc), justify="right"),
        Text(duration(head.seconds), justify="right"),
    ]


def published_cells(one: Published) -> list[Text]:
    values = [
        "",
        "",
        "published",
        label_of(one.dataset, one.size),
        one.method,
        "",
        "",
        number(one.auc, 3),
        number(one.acc, 3),
        "",
    ]
    return [Text(value, "dim italic", justify="right" if at in (7, 8) else "left") for at, value in enumerate(values)]
