"""`medtui runs` and `medtui show`: what was trained here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtui.cli.global_options import pass_to_subcommand
from medtui.cli.options import JsonOption, RunArgument, WorkspaceOption
from medtui.cli.unknown import RunCommands

if TYPE_CHECKING:
    from rich.table import Table

    from engine.contract.wire.protocol import Metrics
    from medtui.client.run_fields import RunField
    from medtui.client.runs import RunRow

HELP = """Runs: list, tag, note, archive, unarchive, delete, prune.

`medtui runs dataset:breast 'auc>0.9' -tag:bad` lists those that match a filter, and `medtui runs list WORD` those with
a word; see `medtui runs list --help`."""
app = typer.Typer(help=HELP, cls=RunCommands, rich_markup_mode=None)
ArchivedOption = Annotated[bool, typer.Option("--archived", help="List the runs in outputs/archive instead.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV: all columns, or those of --columns.")]
WideOption = Annotated[bool, typer.Option("--wide", help="Show every column, however wide the table becomes.")]
ColumnsOption = Annotated[
    str | None,
    typer.Option("--columns", metavar="A,B,C", help="Show these columns; any name of a filter, in this order."),
]
FilterArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILTER",
        help="Terms such as dataset:breast 'lr>=1e-3' 'auc>0.9' -tag:bad, or words; in quotes where a shell would read "
        "> or <. Names: outcome auc acc val_auc seed lr epochs dataset model from tag note date took hash and more.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def runs(
    context: typer.Context,
    workspace: WorkspaceOption = None,
    archived: ArchivedOption = False,
    json: JsonOption = False,
    csv: CsvOption = False,
    wide: WideOption = False,
    columns: ColumnsOption = None,
) -> None:
    """List the runs of a workspace, or manage one."""
    if context.invoked_subcommand is not None:
        given = {"workspace": workspace, "archived": archived, "json": json}
        pass_to_subcommand(context, given | {"csv": csv, "wide": wide, "columns": columns})
        return
    list_(None, workspace, archived, json, csv, wide, columns)


def list_(
    terms: FilterArgument = None,
    workspace: WorkspaceOption = None,
    archived: ArchivedOption = False,
    json: JsonOption = False,
    csv: CsvOption = False,
    wide: WideOption = False,
    columns: ColumnsOption = None,
) -> None:
    """List the runs, newest last: all, or those that match FILTER."""
    from engine.contract.wire.errors import UsageError
    from medtui.cli.runs_table import csv_text, json_values, requested
    from medtui.client.run_fields import FIELDS
    from medtui.client.run_filter import parse_filter
    from medtui.output import print_json, print_line, print_text
    from medtui.sentences import Listing

    if csv and json:
        raise UsageError(Listing.CSV_OR_JSON)
    query, fields = parse_filter(" ".join(terms or [])), requested(columns) if columns is not None else None
    found, in_archive = _read(workspace, archived=archived)
    shown = query.of(found)
    if json:
        print_json([json_values(run_row, fields) for run_row in shown])
    elif csv:
        print_text(csv_text(shown, fields))
    elif shown:
        _print_table(shown, list(FIELDS) if wide and fields is None else fields)
    elif found:
        print_line(f"No matches in {len(found)} run{'s' * (len(found) != 1)}.")
    else:
        print_line(_describe_none(archived=archived, in_archive=in_archive))


def _read(workspace: Path | None, *, archived: bool) -> tuple[list[RunRow], int]:
    """The runs, oldest first; and where there are none, how many are archived."""
    from engine.contract.store.run_directory import list_runs, refuse_unlisted
    from engine.contract.store.workspace import find_workspace
    from medtui.client.run_management import archive_of
    from medtui.client.runs import run_rows
    from medtui.client.timeout import run_with_timeout

    def read(alive: Callable[[], None]) -> tuple[list[RunRow], int]:
        ws = find_workspace(workspace)
        refuse_unlisted(ws.outputs)
        rows = run_rows(archive_of(ws) if archived else ws.outputs)
        return rows, 0 if rows or archived else len(list_runs(archive_of(ws)))

    return run_with_timeout(read, workspace or "the workspace")


def _print_table(run_rows: list[RunRow], fields: list[RunField] | None) -> None:
    """A name that is cut or wrapped cannot be copied: what does not fit is left out, and without a terminal nothing."""
    from medtui.cli.runs_table import describe_dropped, table_lines
    from medtui.rich_output import print_wrapped, stdout_console

    console = stdout_console()
    lines, n_dropped = table_lines(run_rows, fields, console.width if sys.stdout.isatty() else None)
    for number, line in enumerate(lines):
        console.print(line, style="bold" if number == 0 else None, soft_wrap=True)
    if n_dropped:
        print_wrapped(console, describe_dropped(n_dropped), style="dim")


def _describe_none(*, archived: bool, in_archive: int) -> str:
    if archived:
        return "No archived runs."
    if in_archive:
        runs = "The only run here is" if in_archive == 1 else f"All {in_archive} runs here are"
        return f"{runs} archived; `medtui runs --archived` lists {'it' if in_archive == 1 else 'them'}."
    return "No runs yet; `medtui run quickstart` starts one."


def show(run: RunArgument = "last", workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Show a run: outcome, results, per-class metrics, paths."""
    from engine.contract.store.find_run import find_run
    from engine.contract.store.workspace import find_workspace
    from medtui.client.runs import summary
    from medtui.client.timeout import run_with_timeout
    from medtui.output import print_json

    shown = run_with_timeout(lambda alive: summary(find_run(find_workspace(workspace).outputs, run)), f"run {run}")
    if json:
        print_json(shown)
        return
    _print_summary(shown)


def _print_summary(shown: dict[str, Any]) -> None:
    from engine.contract.wire.protocol import ClassMetrics, Metrics
    from medtui.plain.progress import metrics_table, per_class_table
    from medtui.rich_output import print_wrapped, stdout_console
    from medtui.text import clean

    console = stdout_console()
    console.print(f"{shown['run']}: {shown['state']}", style="bold", soft_wrap=True)
    for sentence in _facts(shown):
        print_wrapped(console, sentence)
    validation, test = (Metrics(**shown[name]) if shown[name] else None for name in ("validation", "test"))
    if validation or test:
        console.print(metrics_table(validation, test, "results"))
        title = "test, worst first" if test else "validation, worst first"
        console.print(per_class_table([ClassMetrics(**row) for row in shown["per_class"]], title))
    if test and shown["published"]:
        console.print(_published_table(shown["published"], test))
    for finding in shown["findings"]:
        print_wrapped(console, f"stands out: {clean(finding['message'], 600)} {clean(finding['hint'], 400)}")
    for what in shown["damage"]:
        print_wrapped(console, f"! {clean(what, 300)}")
    for change in shown["drift"]:
        print_wrapped(console, f"drift between attempts: {clean(change, 200)}")
    console.print(f"folder  {shown['run_dir']}", soft_wrap=True)
    for folder, names in _by_folder(shown["artifacts"], Path(shown["run_dir"])).items():
        print_wrapped(console, f"{clean(folder, 200)}: {', '.join(names)}")


def _published_table(rows: list[dict[str, Any]], test: Metrics) -> Table:
    """Published values of the same data set, image size and protocol, with the run's among them."""
    from rich.table import Table

    from medtui.text import number

    table = Table(title="published for this data set and size, test split", title_justify="left")
    for column in ("method", "AUC", "ACC", "source", "remarks"):
        table.add_column(column, justify="right" if column in ("AUC", "ACC") else "left")
    ours = {"method": "this run", "auc": test.auc, "acc": test.acc, "source": "", "remarks": []}
    for row in sorted([*rows, ours], key=lambda row: -row["auc"] if row["auc"] == row["auc"] else 1.0):
        values = (number(row["auc"], 3), number(row["acc"], 3))
        style = "bold" if row is ours else None
        table.add_row(row["method"], *values, row["source"], ", ".join(row["remarks"]), style=style)
    return table


def _facts(shown: dict[str, Any]) -> Iterator[str]:
    """What was trained on what, for how long, and what identifies it."""
    from engine.contract.store.starting_weights import describe_origin
    from medtui.text import by_monitor, clean, data_marks, duration

    marks = "".join(f", {mark}" for mark in data_marks(shown["synthetic"], shown["limit"]))
    dataset, model, planned = (shown[name] or "?" for name in ("dataset", "model", "epochs_planned"))
    weights = clean(describe_origin(shown["weights"]), 200)
    what = f"{clean(str(dataset), 200)}{marks}, {clean(str(model), 200)} {weights}"
    best = f"best{by_monitor(shown['monitor'])} {shown['best_epoch'] or 'none yet'}"
    epochs = f"{shown['epochs_done']} of {planned} epochs, {best}"
    took = f", {duration(shown['worked'])}" if shown["worked"] is not None else ""
    yield f"{what}, {epochs}{took}"
    if shown["recipe_hash"]:
        yield f"recipe hash {clean(shown['recipe_hash'], 64)}"
    if shown["resolved_hash"]:
        yield f"resolved hash {clean(shown['resolved_hash'], 64)}"
    if shown["tags"]:
        yield f"tags: {' '.join(shown['tags'])}"
    if shown["note"]:
        yield f"note: {shown['note']}"


def _by_folder(artifacts: dict[str, str], run_dir: Path) -> dict[str, list[str]]:
    """The names of the artifacts' files by their folder within the run's: `reports: report.xlsx`."""
    from medtui.text import clean

    found: dict[str, list[str]] = {}
    for path in map(Path, artifacts.values()):
        inside = path.relative_to(run_dir) if path.is_relative_to(run_dir) else path
        found.setdefault(str(inside.parent), []).append(clean(inside.name, 200))
    return found
