"""`medtui runs` and `medtui show`: what was trained here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtui.cli.options import JsonOption, RunArgument, WorkspaceOption

if TYPE_CHECKING:
    from engine.contract.run_directory import RunDirectory


app = typer.Typer(help="Runs: listed; tag, note, archive, unarchive, delete.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def runs(
    context: typer.Context,
    workspace: WorkspaceOption = None,
    archived: Annotated[bool, typer.Option("--archived", help="Those in outputs/archive instead.")] = False,
    json: JsonOption = False,
) -> None:
    """List the runs of a workspace, the one last started or resumed at the end."""
    if context.invoked_subcommand is not None:
        return
    from engine.contract.workspace import find_workspace
    from medtui.client.keeping import archive_of
    from medtui.client.runs import heads

    place = find_workspace(workspace)
    found = heads(archive_of(place) if archived else place.outputs)
    if json:
        _print_json([head.values() for head in found])
        return
    if not found:
        none = (
            "No run is archived here." if archived else "There is no run here yet; `medtui run quickstart` makes one."
        )
        typer.echo(none)
        return
    from rich.console import Console
    from rich.table import Table

    from medtui.text import clean, data_marks, number

    table = Table()
    for column in ("run", "state", "epochs", "val AUC", "test AUC", "test ACC", "remarks"):
        words = column in ("run", "state", "remarks")
        table.add_column(column, justify="left" if words else "right", no_wrap=column == "run")
    for head in found:
        values = (head.validation_auc, head.test_auc, head.test_acc)
        remarks = ", ".join([*data_marks(head.synthetic, head.limit), *head.labels.tags])
        cells = [clean(head.run), clean(head.state), head.epochs, *map(number, values), clean(remarks, 200)]
        table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    # a name that is folded cannot be copied; without a terminal there is room for all of it
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=160)
    console.print(table)


def show(run: RunArgument = "last", workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Show one run: outcome, results, per-class values, paths."""
    from engine.contract.run_directory import find_run
    from engine.contract.workspace import find_workspace
    from medtui.client.runs import summary

    found = find_run(find_workspace(workspace).outputs, run)
    shown = summary(found)
    if json:
        _print_json(shown)
        return
    _print_summary(found, shown)


def _print_summary(run: RunDirectory, shown: dict[str, Any]) -> None:
    from rich.console import Console

    from engine.contract.protocol import ClassMetrics, Metrics
    from engine.contract.status import RunSummary
    from medtui.progress import metrics_table, per_class_table
    from medtui.text import clean, data_marks, duration

    console = Console(highlight=False, emoji=False)
    marks = "".join(f", {mark}" for mark in data_marks(shown["synthetic"], shown["limit"]))
    console.print(f"{clean(shown['run'])}: {clean(shown['state'])}", markup=False, style="bold")
    what = f"{clean(str(shown['dataset']))}{marks}, {clean(str(shown['model']))}"
    epochs = f"{shown['epochs_done']} of {shown['epochs_planned']} epochs, best {shown['best_epoch'] or 'none yet'}"
    took = f", {duration(shown['worked'])}" if shown["worked"] is not None else ""
    console.print(f"{what}, {epochs}{took}", markup=False, soft_wrap=True)
    if shown["tags"]:
        console.print(f"tags: {clean(' '.join(shown['tags']))}", markup=False)
    if shown["note"]:
        console.print(f"note: {clean(shown['note'])}", markup=False)
    validation, test = (Metrics(**shown[name]) if shown[name] else None for name in ("validation", "test"))
    if validation or test:
        console.print(metrics_table(RunSummary.model_validate(shown), validation, test, "results"))
        title = "test, worst first" if test else "validation, worst first"
        console.print(per_class_table([ClassMetrics(**row) for row in shown["per_class"]], title))
    for change in shown["drift"]:
        console.print(f"drift between attempts: {clean(change, 200)}", markup=False)
    for name, path in shown["artifacts"].items():
        console.print(f"{clean(name):<20} {clean(path)}", markup=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    """Non-finite numbers as in the protocol."""
    from medtui.text import json_text

    typer.echo(json_text(value))
