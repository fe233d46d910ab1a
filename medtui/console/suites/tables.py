"""The tables of the Suites screen: the grid of a suite, the entries of the queue, the list of suites."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.coordinate import Coordinate

from medtui.console.shell.keymap import bindings
from medtui.console.suites.reader import ShownSuite, SuiteLine
from medtui.console.suites.text import cell_text, line_text, mean_text, queue_texts
from medtui.console.widgets.table import DataTable
from medtui.suites.formats import DIGITS
from medtui.suites.grid import UNKNOWN_SEED, Grid
from medtui.suites.status import ItemStatus
from medtui.text import clean, shortened

MEAN = "mean"  # the key of the first column, which stays in sight however many seeds there are
CELL = 13  # columns, as of `● 12/30 0.913`
MEAN_CELL = 20  # columns, as of `0.9130 ± 0.0041 (10)`
SHORT = 3  # digits of a mean, where the table's would push a seed out of sight


class SuiteGrid(DataTable):
    """The cursor is on one run; it stays there while others change."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("grid")

    def __init__(self, id: str) -> None:
        super().__init__(id=id, cursor_type="cell", zebra_stripes=False)
        self._grid = Grid()
        self._name = ""
        self._label_width = 0
        self._shown: dict[tuple[str, str], Text] = {}  # by row and column

    @property
    def chosen(self) -> str | None:
        """The id of the run under the cursor."""
        row, column = self.cursor_coordinate.row, self.cursor_coordinate.column - 1
        if not (0 <= row < len(self._grid.rows) and 0 <= column < len(self._grid.seeds)):
            return None
        return self._grid.rows[row].items.get(self._grid.seeds[column])

    def show(self, shown: ShownSuite) -> None:
        width = self._room_for_labels(shown.grid)
        if (shown.line.name, shown.grid, width) != (self._name, self._grid, self._label_width):
            self._rebuild(shown, width)
        for at, row in enumerate(shown.grid.rows):
            for seed, id_ in row.items.items():
                self._set(str(at), str(seed), cell_text(shown.runs.get(id_)))
            self._set(str(at), MEAN, mean_text(row, shown.runs, self._digits))

    def _room_for_labels(self, grid: Grid) -> int:
        """Columns: what the seeds leave, and at least a third."""
        room = self.size.width or 80
        longest = max((len(row.label) for row in grid.rows), default=0)
        return min(longest, max(room // 3, room - (CELL + 2) * min(3, len(grid.seeds)) - 2))

    @property
    def _digits(self) -> int:
        needed = self._label_width + 2 + MEAN_CELL + 2 + (CELL + 2) * len(self._grid.seeds)
        return DIGITS if needed <= self.size.width else SHORT

    def _rebuild(self, shown: ShownSuite, width: int) -> None:
        same = shown.line.name == self._name
        cursor = self.cursor_coordinate
        self._name, self._grid, self._label_width, self._shown = shown.line.name, shown.grid, width, {}
        with self.prevent(DataTable.CellHighlighted):
            self.clear(columns=True)
            self.add_column("mean test AUC", key=MEAN)
            for seed in shown.grid.seeds:
                title = f"seed {seed}" if seed != UNKNOWN_SEED else "seed ?"
                self.add_column(title, key=str(seed))
            for at, row in enumerate(shown.grid.rows):
                blank = [Text("")] * (len(shown.grid.seeds) + 1)
                self.add_row(*blank, key=str(at), label=Text(shortened(clean(row.label, 200), width)))
            place = cursor if same else Coordinate(0, 1)
            self.move_cursor(row=place.row, column=place.column, animate=False)

    def _set(self, row: str, column: str, text: Text) -> None:
        if self._shown.get((row, column)) != text:
            self._shown[row, column] = text
            self.update_cell(row, column, text, update_width=True)


class RowTable(DataTable):
    """A list of rows with keys; the cursor follows its row."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("table")

    def __init__(self, id: str) -> None:
        super().__init__(id=id, cursor_type="row", show_header=False, zebra_stripes=False)
        self._rows: dict[str, tuple[Text, ...]] = {}

    @property
    def chosen(self) -> str | None:
        keys = list(self._rows)
        return keys[self.cursor_row] if 0 <= self.cursor_row < len(keys) else None

    def fill(self, rows: dict[str, tuple[Text, ...]], select: str | None = None) -> None:
        """`select`: the row for the cursor; else it stays on its own."""
        chosen = select or self.chosen
        if rows != self._rows:
            place, scrolled = self.cursor_row, self.scroll_y
            self._rows = rows
            with self.prevent(DataTable.RowHighlighted):
                self.clear(columns=True)
                for number in range(max((len(cells) for cells in rows.values()), default=0)):
                    self.add_column("", key=str(number))
                for key, cells in rows.items():
                    self.add_row(*cells, key=key)
                self.move_cursor(row=min(place, max(0, len(rows) - 1)), animate=False)
                self.scroll_to(y=scrolled, animate=False)
        if chosen in rows and chosen != self.chosen:
            with self.prevent(DataTable.RowHighlighted):
                self.move_cursor(row=list(rows).index(chosen), animate=False)


class QueueTable(RowTable):
    def show(self, entries: tuple[ItemStatus, ...]) -> None:
        self.fill(dict(queue_texts(entries, self.size.width or 60)))


class SuiteList(RowTable):
    def show(self, suites: tuple[SuiteLine, ...], chosen: str | None) -> None:
        width = (self.size.width or 30) - 3
        self.fill({line.name: (line_text(line, width),) for line in suites}, chosen)
