"""`medtui runs` as a table, CSV or JSON: which columns, and how they are laid out."""

from __future__ import annotations

import csv
import io
from typing import Any

from rich.cells import cell_len

from engine.contract.wire.errors import UsageError
from engine.contract.wire.text import shortened
from medtui.client.run_fields import (
    FIELDS,
    LISTED,
    RunField,
    alternative_fields,
    cell_of,
    exported,
    exported_titles,
    field_named,
)
from medtui.client.runs import RunRow
from medtui.sentences import Listing
from medtui.text import UNDEFINED

GAP = "  "
Column = tuple[RunField, list[str]]  # the cells, top to bottom


def requested(columns: str) -> list[RunField]:
    """The fields of `--columns a,b,c`, in that order, each once. Raises UsageError for one that there is not."""
    names = [name for name in columns.split(",") if name.strip()]
    if not names:
        raise UsageError(Listing.NO_COLUMNS, known=describe_columns())
    found: dict[RunField, None] = {}
    for name in names:
        one = field_named(name)
        if one is None:
            raise UsageError(Listing.NO_SUCH_COLUMN, found=shortened(name), alternatives=alternative_fields(name))
        found[one] = None
    return list(found)


def table_lines(run_rows: list[RunRow], fields: list[RunField] | None, width: int | None) -> tuple[list[str], int]:
    """A heading and one line per run, and how many columns were left out.

    `fields`: those that were asked for, all of them shown; None: what fits into `width` (None: any), the less important
    ones left out, and none that is empty. No value is ever cut.
    """
    columns = [(one, [cell_of(one, run_row) for run_row in run_rows]) for one in fields or LISTED]
    if fields is None:
        columns = [(one, cells) for one, cells in columns if any(cell not in ("", UNDEFINED) for cell in cells)]
    shown = columns if fields is not None or width is None else _fitting(columns, width)
    return _aligned(shown), len(columns) - len(shown)


def _fitting(columns: list[Column], width: int) -> list[Column]:
    """From the left, up to the first that does not fit; always the first."""
    used = 0
    for number, column in enumerate(columns):
        used += _width(column) + len(GAP) * (number > 0)
        if used > width:
            return columns[: max(1, number)]
    return columns


def _width(column: Column) -> int:
    one, cells = column
    return max(map(cell_len, [one.title, *cells]))


def _aligned(columns: list[Column]) -> list[str]:
    padded = []
    for one, cells in columns:
        width = _width((one, cells))
        spaces = [" " * (width - cell_len(cell)) for cell in (one.title, *cells)]
        texts = zip(spaces, (one.title, *cells), strict=True)
        padded.append([space + cell if one.is_right_justified else cell + space for space, cell in texts])
    return [GAP.join(line).rstrip() for line in zip(*padded, strict=True)]


def csv_text(run_rows: list[RunRow], fields: list[RunField] | None) -> str:
    """One line per run below one of names; numbers in full, unknown ones empty."""
    fields = list(FIELDS) if fields is None else fields
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([title for one in fields for title in exported_titles(one)])
    writer.writerows([cell for one in fields for cell in exported(one, run_row)] for run_row in run_rows)
    return text.getvalue().removesuffix("\n")


def json_values(run_row: RunRow, fields: list[RunField] | None) -> dict[str, Any]:
    """The object of a run; of the requested fields only."""
    values = run_row.values()
    return values if fields is None else {one.name: values.get(one.name, one.value(run_row)) for one in fields}


def describe_dropped(count: int) -> str:
    return f"{count} more column{'s' * (count != 1)}: --wide shows all, --columns a,b,c the ones that you name."


def describe_columns() -> str:
    return ", ".join(one.names[0] for one in FIELDS)
