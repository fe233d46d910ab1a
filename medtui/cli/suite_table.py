"""`medtui suite table`: printed, or written to a file in the format that its name says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.contract.store.workspace import Workspace
    from medtui.suites.groups import Block
    from medtui.suites.store import Store
    from medtui.suites.work import Work

FORMATS = {"text": "", "csv": ".csv", "markdown": ".md", "latex": ".tex", "xlsx": ".xlsx"}
ENDINGS = (*FORMATS.values(), ".txt")


def print_or_write(
    name: str | None, format_: str, output: Path | None, *, force: bool, workspace: Path | None, as_json: bool
) -> int:
    """Raises UsageError for a format that there is not, and for a workbook without a file."""
    from engine.contract.files.paths import expanded
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.work import warn_of_damage
    from medtui.client.output_file import check_ending, check_output, write_text
    from medtui.output import print_json, print_line, print_text
    from medtui.plain.suite_table import print_table
    from medtui.rich_output import stdout_console
    from medtui.suites.groups import table_of
    from medtui.suites.requests import require_plan
    from medtui.suites.settling import work_of
    from medtui.suites.store import find_suite

    ws = find_workspace(workspace)
    target = expanded(str(output)) if output is not None else None
    named, format_ = bool(format_), _format(format_, target)
    if target is not None:
        check_output(target, force=force)
        if not named:
            check_ending(target, ENDINGS, "Choose another name, or pass --format.")
    store = find_suite(ws, name)
    work = work_of(store)
    warn_of_damage(store, work)
    require_plan(store, work)
    blocks = table_of(work.items.values(), ws)
    if as_json:
        print_json(_values(store, work, blocks))
    elif format_ == "xlsx" and target is not None:
        _write_workbook(blocks, target, ws)
    elif target is not None:
        write_text(target, _plain_text(store, work, blocks) if format_ == "text" else _text(format_, store, blocks))
    elif format_ == "text":
        print_table(stdout_console(), blocks, _left(store, work))
    else:
        print_text(_text(format_, store, blocks).removesuffix("\n"))
    if target is not None and not as_json:
        print_line(f"Wrote {target}.")
    return 0


def _format(given: str, output: Path | None) -> str:
    """By its name, else by the ending of the file. Raises UsageError."""
    from engine.contract.recipe.names import alternatives
    from engine.contract.wire.errors import UsageError
    from engine.contract.wire.text import shortened
    from medtui.sentences import Suites

    by_suffix = {suffix: name for name, suffix in FORMATS.items() if suffix}
    short = {"md": "markdown", "tex": "latex", "txt": "text"}
    found = given or (by_suffix.get(output.suffix.lower(), "text") if output is not None else "text")
    found = short.get(found, found)
    if found not in FORMATS:
        raise UsageError(
            Suites.FORMAT, found=shortened(found), alternatives=alternatives("format", found, list(FORMATS))
        )
    if found == "xlsx" and output is None:
        raise UsageError(Suites.NO_OUTPUT)
    return found


def _text(format_: str, store: Store, blocks: Sequence[Block]) -> str:
    from medtui.suites.formats import csv_of, latex_of, markdown_of

    title = f"Suite {store.name}"
    if format_ == "csv":
        return csv_of(blocks)
    return latex_of(blocks, title) if format_ == "latex" else markdown_of(blocks, title)


def _plain_text(store: Store, work: Work, blocks: Sequence[Block]) -> str:
    import io

    from medtui.plain.suite_table import print_table
    from medtui.rich_output import CleanConsole

    text = io.StringIO()
    print_table(CleanConsole(text, width=100), blocks, _left(store, work))
    return text.getvalue()


def _write_workbook(blocks: Sequence[Block], output: Path, ws: Workspace) -> None:
    """By an engine: this side has no library for workbooks."""
    from engine.contract.files.paths import absolute
    from engine.contract.wire.jobs import Table
    from medtui.cli.who import current_user
    from medtui.client.job import do_job
    from medtui.suites.formats import COLUMNS, footnotes, rows

    lines: list[list[Any]] = [list(COLUMNS), *([row.get(column) for column in COLUMNS] for row in rows(blocks))]
    target, notes = str(absolute(output)), footnotes(blocks)
    start = Table(id="start", by=current_user(), name="Suite", rows=lines, notes=notes, output=target)
    do_job(start, ws)


def write_curves(name: str | None, output: Path, measure: str, *, force: bool, workspace: Path | None) -> None:
    """Raises UsageError for a measure that there is not, and for a suite without completed runs."""
    from engine.contract.files.paths import absolute, expanded
    from engine.contract.recipe.names import alternatives
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from engine.contract.wire.jobs import CurvePanel, Curves, GroupCurve
    from engine.contract.wire.text import shortened
    from medtui.cli.who import current_user
    from medtui.cli.work import warn_of_damage
    from medtui.client.job import do_job
    from medtui.client.output_file import check_ending, check_output
    from medtui.output import print_line
    from medtui.sentences import Suites
    from medtui.suites.curves import MEASURES, curves_of
    from medtui.suites.requests import require_plan
    from medtui.suites.settling import work_of
    from medtui.suites.store import find_suite

    known = next((one for one in MEASURES if one == measure), None)
    if known is None:
        instead = alternatives("measure", measure, MEASURES)
        raise UsageError(Suites.MEASURE, found=shortened(measure), alternatives=instead)
    ws = find_workspace(workspace)
    store = find_suite(ws, name)
    target = expanded(str(output))
    check_output(target, force=force, is_picture=True)
    check_ending(target, (".png", ""))
    work = work_of(store)
    warn_of_damage(store, work)
    require_plan(store, work)
    found = curves_of(work.items.values(), ws, known)
    if not found:
        raise UsageError(Suites.NO_CURVES, name=store.name)
    panels = [
        CurvePanel(title=title, curves=[GroupCurve.model_validate(asdict(one)) for one in curves])
        for title, curves in found
    ]
    ylabel = measure.replace("val_", "validation ").replace("train_", "training ").replace("auc", "AUC")
    note = "mean over seeds, band: one standard deviation to either side"
    title, by = f"Suite {store.name}", current_user()
    path = str(absolute(target))
    do_job(Curves(id="start", by=by, title=title, ylabel=ylabel, note=note, panels=panels, output=path), ws)
    print_line(f"Wrote {output}.")


def _left(store: Store, work: Work) -> list[str]:
    """That the table is not complete yet."""
    open_ = [item for item in work.items.values() if item.state != "completed"]
    if not open_:
        return []
    from medtui.suites.requests import describe_next
    from medtui.suites.status import describe_counts

    words = f"Not complete: {describe_counts(work, store.workspace)}"
    under_way = store.runner() is not None or work.of("submitted")
    remedy = describe_next(store, work) if not under_way else ""
    return [f"{words} {remedy}." if remedy else words]


def _values(store: Store, work: Work, blocks: Sequence[Block]) -> dict[str, Any]:
    from medtui.suites.formats import footnotes, rows

    return {"name": store.name, "counts": work.counts(), "rows": list(rows(blocks))} | {"notes": footnotes(blocks)}
