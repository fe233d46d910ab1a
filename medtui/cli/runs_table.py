"""`medtui runs` as a table, CSV or JSON: which columns, and how they are laid out."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from engine.contract.wire.errors import UsageError
from engine.contract.wire.text import shortened
from medtui.client.run_fields import (
    CELL_LIMIT,
    FIELDS,
    LISTED,
    RunField,
    alternative_fields,
    cell_of,
    exported,
    exported_titles,
    field_named,
)
from medtui.client.run_row import RunRow
from medtui.sentences import Listing
from medtui.text import UNDEFINED, clean

GAP = "  "
WORKSPACE = next(one for one in FIELDS if one.name == "workspace")
Column = tuple[RunField, list[str]]  # the cells, top to bottom


def requested(columns: str) -> list[RunField]:
    """The fields of `--columns a,b,c`, in that order, each once; with a dot those of recipes. Raises UsageError for one
    that there is not."""
    names = [name for name in columns.split(",") if name.strip()]
    if not names:
        raise UsageError(Listing.NO_COLUMNS, known=describe_columns())
    found: list[RunField] = []
    for name in names:
        one = field_named(name.strip())
        if one is None:
            instead = alternative_fields(name.strip())
            raise UsageError(Listing.NO_SUCH_COLUMN, found=shortened(name.strip()), alternatives=instead)
        found.append(one)
    return list({one.name: one for one in found}.values())


def table_lines(
    run_rows: list[RunRow], fields: list[RunField] | None, width: int | None, *, several: bool = False
) -> tuple[list[str], int]:
    """A heading and one line per run, and how many columns were left out.

    `fields`: those that were asked for, all of them shown; None: what fits into `width` (None: any), the less important
    ones left out, and none that is empty. No value is ever cut. `several`: of more than one workspace, which is told.
    """
    listed = [LISTED[0], WORKSPACE, *LISTED[1:]] if several else LISTED
    columns = [(one, _cells(one, run_rows)) for one in fields or listed]
    if fields is None:
        columns = [(one, cells) for one, cells in columns if any(cell not in ("", UNDEFINED) for cell in cells)]
    shown = columns if fields is not None or width is None else _fitting(columns, width)
    return _aligned(shown), len(columns) - len(shown)


def _cells(one: RunField, run_rows: list[RunRow]) -> list[str]:
    if one is WORKSPACE:
        roots = [run_row.workspace for run_row in run_rows]
        labels = {root: clean(label, 200) for root, label in short_labels(roots).items()}
        return [labels[root] for root in roots]
    texts = list(map(one.cell, run_rows))
    harmless = "".join(texts).isprintable() and max(map(len, texts), default=0) <= CELL_LIMIT
    return texts if harmless else [cell_of(one, run_row) for run_row in run_rows]  # each apart takes its time


def short_labels(roots: Iterable[Path]) -> dict[Path, str]:
    """The ends of these paths, as short as they can be to tell one from the other: `a/work`, `b/work`."""
    distinct = list(dict.fromkeys(roots))
    for n in range(1, max((len(root.parts) for root in distinct), default=0) + 1):
        labels = {root: "/".join(root.parts[-n:]).replace("//", "/") for root in distinct}
        if len(set(labels.values())) == len(distinct):
            return labels
    return {root: str(root) for root in distinct}


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
    return max(_widths([one.title, *cells]))


def _widths(texts: list[str]) -> list[int]:
    """Columns of the terminal."""
    return list(map(len if "".join(texts).isascii() else cell_len, texts))


def _aligned(columns: list[Column]) -> list[str]:
    padded = []
    for one, cells in columns:
        texts = [one.title, *cells]
        widths = _widths(texts)
        widest = max(widths)
        places = (len(text) + widest - width for text, width in zip(texts, widths, strict=True))
        justify = str.rjust if one.is_right_justified else str.ljust
        padded.append(list(map(justify, texts, repeat(widest) if widths == list(map(len, texts)) else places)))
    return [GAP.join(line).rstrip() for line in zip(*padded, strict=True)]


def csv_text(run_rows: list[RunRow], fields: list[RunField] | None) -> str:
    """One line per run below one of names; numbers in full, unknown ones empty."""
    import csv
    import io

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
