"""`medtui runs`: what was trained here, or in several workspaces."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from medtui.cli.commands import COMMANDS
from medtui.cli.global_options import pass_to_subcommand
from medtui.cli.manage import archive, delete, note, prune, tag, unarchive
from medtui.cli.options import AllOption, JsonOption, WorkspacesOption
from medtui.cli.unknown import FilteredCommand, RunCommands

if TYPE_CHECKING:
    from medtui.client.run_fields import RunField
    from medtui.client.run_row import RunRow

HELP = f"""{COMMANDS["runs"].summary}

`medtui runs dataset:breast 'auc>0.9' -tag:bad` lists those that match a filter, and `medtui runs list WORD` those with
a word; see `medtui runs list --help`."""
app = typer.Typer(help=HELP, cls=RunCommands, rich_markup_mode=None)
ArchivedOption = Annotated[bool, typer.Option("--archived", help="List the runs in outputs/archive instead.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV: all columns, or those of --columns.")]
WideOption = Annotated[bool, typer.Option("--wide", help="Show every column, however wide the table becomes.")]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B,C",
        help="Show these columns: any name that a filter takes, or a recipe field such as training.lr.",
    ),
]
FilterArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILTER",
        help="Terms such as dataset:breast 'lr>=1e-3' 'auc>0.9' -tag:bad, or words; in quotes where a shell would read "
        "> or <. Names: outcome auc acc val_auc seed lr epochs dataset model from tag note date took hash and "
        "more, or recipe fields such as training.lr.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def runs(
    context: typer.Context,
    workspace: WorkspacesOption = None,
    everywhere: AllOption = False,
    archived: ArchivedOption = False,
    json: JsonOption = False,
    csv: CsvOption = False,
    wide: WideOption = False,
    columns: ColumnsOption = None,
) -> None:
    """List the runs of a workspace or of several, or manage one."""
    if context.invoked_subcommand is not None:
        given = {"workspace": workspace, "everywhere": everywhere, "archived": archived, "json": json}
        pass_to_subcommand(context, given | {"csv": csv, "wide": wide, "columns": columns})
        return
    list_(None, workspace, everywhere, archived, json, csv, wide, columns)


@app.command("list", cls=FilteredCommand)
def list_(
    terms: FilterArgument = None,
    workspace: WorkspacesOption = None,
    everywhere: AllOption = False,
    archived: ArchivedOption = False,
    json: JsonOption = False,
    csv: CsvOption = False,
    wide: WideOption = False,
    columns: ColumnsOption = None,
) -> None:
    """List the runs: all, or those that match FILTER.

    The run that was started or resumed last is the last one, though its `date` is that of its first start.
    """
    from engine.contract.wire.errors import UsageError
    from medtui.cli.runs_table import csv_text, json_values, requested
    from medtui.cli.workspaces import chosen_workspaces, listed_runs
    from medtui.client.run_fields import FIELDS
    from medtui.client.run_filter import parse_filter
    from medtui.output import print_json, print_line, print_text
    from medtui.sentences import Listing

    if csv and json:
        raise UsageError(Listing.CSV_OR_JSON)
    gc.disable()  # until this command ends: of thousands of rows none is garbage
    query, fields = parse_filter(" ".join(terms or [])), requested(columns) if columns is not None else None
    found = listed_runs(chosen_workspaces(workspace, everywhere=everywhere), everywhere=everywhere, archived=archived)
    shown = query.of(_with_settings(found.rows, query.settings))
    shown = _with_settings(shown, [one.name for one in fields or [] if one.kind == "setting"])
    if json:
        print_json([json_values(run_row, fields) for run_row in shown])
    elif csv:
        print_text(csv_text(shown, fields))
    elif shown:
        every = [one for one in FIELDS if found.several or one.name != "workspace"]
        _print_table(shown, every if wide and fields is None else fields, several=found.several)
    elif n_runs := len(found.rows):
        print_line(f"No matches in {n_runs} run{'s' * (n_runs != 1)}.")
    else:
        print_line(_describe_none(archived=archived, in_archive=found.n_archived))
    if found.troubles:
        raise typer.Exit(found.troubles[0].exit_code)


for command in (tag, note, archive, unarchive, delete, prune):
    app.command()(command)


def _with_settings(run_rows: list[RunRow], paths: Sequence[str]) -> list[RunRow]:
    """With what columns or a filter tell of their recipes."""
    if not paths:
        return run_rows
    from medtui.client.run_settings import with_settings
    from medtui.client.timeout import run_with_timeout

    return run_with_timeout(lambda alive: with_settings(run_rows, paths, alive), "the workspace")


def _print_table(run_rows: list[RunRow], fields: list[RunField] | None, *, several: bool) -> None:
    """A name that is cut or wrapped cannot be copied: what does not fit is left out, and without a terminal nothing."""
    from medtui.cli.runs_table import describe_dropped, table_lines
    from medtui.output import is_plain, print_text

    if is_plain():
        print_text("\n".join(table_lines(run_rows, fields, None, several=several)[0]))
        return
    from medtui.rich_output import print_wrapped, stdout_console

    console, is_terminal = stdout_console(), sys.stdout.isatty()
    lines, n_dropped = table_lines(run_rows, fields, console.width if is_terminal else None, several=several)
    console.print(lines[0], style="bold", soft_wrap=True)
    print_text("\n".join(lines[1:]))
    if n_dropped:
        print_wrapped(console, describe_dropped(n_dropped), style="dim")


def _describe_none(*, archived: bool, in_archive: int) -> str:
    if archived:
        return "No archived runs."
    if in_archive:
        runs = "The only run here is" if in_archive == 1 else f"All {in_archive} runs here are"
        return f"{runs} archived; `medtui runs --archived` lists {'it' if in_archive == 1 else 'them'}."
    return "No runs yet; `medtui run quickstart` starts one."
