"""A table whose cells and titles are text, never markup: Textual reads markup in every str."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import events
from textual.widgets import DataTable as TextualDataTable
from textual.widgets.data_table import ColumnKey


class DataTable(TextualDataTable[Text]):
    """Cells are `Text`, as its type says."""

    _follow = False  # is the cursor to be brought into sight, once columns are measured?

    def add_column(self, label: str | Text, **options: Any) -> ColumnKey:
        return super().add_column(Text(label) if isinstance(label, str) else label, **options)

    @property
    def _unmeasured(self) -> bool:
        """Are there cells that no column's width knows yet? Textual measures when nothing else is to do."""
        return self._require_update_dimensions or bool(self._updated_cells)

    async def _on_idle(self, event: events.Idle) -> None:
        """Draw the lines again once columns are measured, and bring the cursor into sight among them.

        Textual keeps lines that it drew before, as narrow as their titles, where the size of the whole stays; and it
        may have scrolled to where the cursor's cell was while columns had other widths.
        """
        unmeasured = self._unmeasured
        if unmeasured:
            self._clear_caches()  # a row that was drawn before it was measured is kept there without its label
        await super()._on_idle(event)
        if unmeasured:
            self._clear_caches()
            self.refresh()
        if self._follow and not self._unmeasured:
            self._follow = False
            self.call_after_refresh(self._scroll_cursor_into_view)

    def move_cursor(
        self, *, row: int | None = None, column: int | None = None, animate: bool = False, scroll: bool = True
    ) -> None:
        self._follow = scroll and (self._follow or self._unmeasured)
        super().move_cursor(row=row, column=column, animate=animate, scroll=scroll)

    def on_resize(self) -> None:
        """A smaller table must not hide its cursor."""
        self._follow = True
