"""`medtui runs` and `medtui show`: what was trained here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtui.cli.global_options import pass_to_subcommand
from medtui.cli.options import JsonOption, RunArgument, WorkspaceOption
from medtui.cli.unknown import Commands

if TYPE_CHECKING:
    from rich.table import Table

    from engine.contract.wire.protocol import Metrics

app = typer.Typer(help="Runs: list, tag, note, archive, unarchive, delete, prune.", cls=Commands, rich_markup_mode=None)
ArchivedOption = Annotated[bool, typer.Option("--archived", help="List the runs in outputs/archive instead.")]


@app.callback(invoke_without_command=True)
def runs(
    context: typer.Context,
    workspace: WorkspaceOption = None,
    archived: ArchivedOption = False,
    json: JsonOption = False,
) -> None:
    """List the runs of a workspace, or manage one."""
    if context.invoked_subcommand is not None:
        pass_to_subcommand(context, {"workspace": workspace, "archived": archived, "json": json})
        return
    list_(workspace, archived, json)


def list_(workspace: WorkspaceOption = None, archived: ArchivedOption = False, json: JsonOption = False) -> None:
    """List the runs of a workspace, newest last."""
    from engine.contract.store.run_directory import list_runs, refuse_unlisted
    from engine.contract.store.workspace import find_workspace
    from medtui.client.run_management import archive_of
    from medtui.client.runs import RunRow, run_rows
    from medtui.client.timeout import run_with_timeout
    from medtui.output import print_json, print_line

    def read(alive: Callable[[], None]) -> tuple[list[RunRow], int]:
        ws = find_workspace(workspace)
        refuse_unlisted(ws.outputs)
        rows = run_rows(archive_of(ws) if archived else ws.outputs)
        return rows, 0 if rows or archived else len(list_runs(archive_of(ws)))

    found, in_archive = run_with_timeout(read, workspace or "the workspace")
    if json:
        print_json([run_row.values() for run_row in found])
        return
    if not found:
        print_line(_describe_none(archived=archived, in_archive=in_archive))
        return
    from rich.table import Table

    from medtui.rich_output import stdout_console
    from medtui.text import UNDEFINED, clean, data_marks, number

    table = Table()
    for column in ("run", "state", "weights", "epochs", "val AUC", "test AUC", "test ACC", "remarks"):
        is_text = column in ("run", "state", "weights", "remarks")
        table.add_column(column, justify="left" if is_text else "right", no_wrap=column == "run")
    for run_row in found:
        values = (run_row.validation_auc, run_row.test_auc, run_row.test_acc)
        damage = [f"! {what}" for what in run_row.damage]
        remarks = ", ".join([*damage, *data_marks(run_row.synthetic, run_row.limit), *run_row.labels.tags])
        weights = clean(run_row.weights or UNDEFINED, 80)
        table.add_row(run_row.run, run_row.state, weights, run_row.epochs, *map(number, values), clean(remarks, 200))
    # a wrapped name cannot be copied; without a terminal the width is free
    console = stdout_console() if sys.stdout.isatty() else stdout_console(width=160)
    console.print(table)


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
    from engine.contract.store.starting_weights import describe_origin
    from engine.contract.wire.protocol import ClassMetrics, Metrics
    from medtui.plain.progress import metrics_table, per_class_table
    from medtui.rich_output import stdout_console
    from medtui.text import by_monitor, clean, data_marks, duration

    console = stdout_console()
    marks = "".join(f", {mark}" for mark in data_marks(shown["synthetic"], shown["limit"]))
    console.print(f"{shown['run']}: {shown['state']}", style="bold")
    dataset, model, planned = (shown[name] or "?" for name in ("dataset", "model", "epochs_planned"))
    weights = clean(describe_origin(shown["weights"]), 200)
    what = f"{clean(str(dataset), 200)}{marks}, {clean(str(model), 200)} {weights}"
    best = f"best{by_monitor(shown['monitor'])} {shown['best_epoch'] or 'none yet'}"
    epochs = f"{shown['epochs_done']} of {planned} epochs, {best}"
    took = f", {duration(shown['worked'])}" if shown["worked"] is not None else ""
    console.print(f"{what}, {epochs}{took}", soft_wrap=True)
    if shown["recipe_hash"]:
        console.print(f"recipe hash {clean(shown['recipe_hash'], 64)}")
    if shown["resolved_hash"]:
        console.print(f"resolved hash {clean(shown['resolved_hash'], 64)}")
    if shown["tags"]:
        console.print(f"tags: {' '.join(shown['tags'])}")
    if shown["note"]:
        console.print(f"note: {shown['note']}")
    validation, test = (Metrics(**shown[name]) if shown[name] else None for name in ("validation", "test"))
    if validation or test:
        console.print(metrics_table(validation, test, "results"))
        title = "test, worst first" if test else "validation, worst first"
        console.print(per_class_table([ClassMetrics(**row) for row in shown["per_class"]], title))
    if test and shown["published"]:
        console.print(_published_table(shown["published"], test))
    for finding in shown["findings"]:
        console.print(f"stands out: {clean(finding['message'], 600)} {clean(finding['hint'], 400)}", soft_wrap=True)
    for what in shown["damage"]:
        console.print(f"! {clean(what, 300)}", soft_wrap=True)
    for change in shown["drift"]:
        console.print(f"drift between attempts: {clean(change, 200)}")
    for name, path in shown["artifacts"].items():
        console.print(f"{clean(name, 200):<20} {path}", soft_wrap=True)


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
