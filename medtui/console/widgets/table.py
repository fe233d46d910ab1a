"""A table whose cells and titles are text, never markup: Textual reads markup in every str."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import events
from textual.widgets import DataTable as TextualDataTable
from textual.widgets.data_table import ColumnKey


class DataTable(TextualDataTable[Text]):
    """Cells are `Text`, as its type says."""

    def add_column(self, label: str | Text, **options: Any) -> ColumnKey:
        return super().add_column(Text(label) if isinstance(label, str) else label, **options)

    async def _on_idle(self, event: events.Idle) -> None:
        """Draw the lines again once columns are measured.

        Textual measures when nothing else is to do, and keeps lines that it drew before that, as narrow as their
        titles, where the size of the whole stays.
        """
        unmeasured = self._require_update_dimensions or bool(self._updated_cells)
        await super()._on_idle(event)
        if unmeasured:
            self._clear_caches()
            self.refresh()
