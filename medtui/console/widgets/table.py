"""A table whose cells and titles are text, never markup: Textual reads markup in every str."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.widgets import DataTable as TextualDataTable
from textual.widgets.data_table import ColumnKey


class DataTable(TextualDataTable[Text]):
    """Cells are `Text`, as its type says."""

    def add_column(self, label: str | Text, **options: Any) -> ColumnKey:
        return super().add_column(Text(label) if isinstance(label, str) else label, **options)
