"""`medtui queue`: single runs that wait for their turn, added while others train."""

from __future__ import annotations

from typing import Annotated

import typer

from medtui.cli.commands import COMMANDS
from medtui.cli.completion import recipes
from medtui.cli.options import DataOption, JsonOption, OfflineOption, SlotsOption, WorkspaceOption
from medtui.cli.suite import DetachOption, RetryOption
from medtui.cli.unknown import Commands

app = typer.Typer(help=COMMANDS["queue"].summary, cls=Commands, rich_markup_mode=None, no_args_is_help=True)
EntryArgument = Annotated[str, typer.Argument(metavar="ENTRY", help="Its number in `medtui queue list`.")]
EMPTY = "The queue is empty; `medtui queue add RECIPE` adds a run."


@app.command("add")
def add(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE SECTION.FIELD=VALUE",
            help="As for `medtui run`: a recipe, then fields to set.",
            show_default=False,
            autocompletion=recipes,
        ),
    ],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Set any recipe field.")
    ] = None,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Add a run to the end of the queue."""
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.compose import compose
    from medtui.cli.run import data_folders, split_arguments
    from medtui.cli.work import warn_of_damage
    from medtui.output import print_error, print_json, print_line
    from medtui.suites.requests import add_to_queue, describe_added
    from medtui.suites.store import queue_of

    ws = find_workspace(workspace)
    recipe_name, assignments = split_arguments(arguments, None)
    assignments += set_ or []
    recipe, warnings = compose(recipe_name, {}, assignments)
    named = [one.partition("=")[0].strip().replace("-", "_") for one in assignments]
    item, ahead = add_to_queue(ws, recipe, data_folders(data), offline=offline, named=named)
    for warning in warnings:
        print_error(f"medtui: {warning}")
    warn_of_damage(queue_of(ws), queue_of(ws).journal().work)
    if json:
        print_json({"id": item.id, "label": item.label, "ahead": ahead})
        return
    print_line(describe_added(item, ahead))
    if queue_of(ws).runner() is None:
        print_line("`medtui queue start` runs the queue.")


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Show all ended runs, not only the latest.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """List what trains, what waits, in order, and what has ended."""
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.work import warn_of_damage
    from medtui.output import print_json, print_line
    from medtui.plain.suite_status import print_items
    from medtui.suites.entries import distinguished
    from medtui.suites.settling import work_of
    from medtui.suites.status import status_values
    from medtui.suites.store import queue_of
    from medtui.text import capitalised

    ws = find_workspace(workspace)
    store = queue_of(ws)
    work = work_of(store)
    warn_of_damage(store, work)
    if json:
        print_json(status_values(store, work))
        return
    if not work.items:
        print_line(EMPTY)
        return
    ended = [item for item in work.items.values() if item.over]
    left = [item for item in work.items.values() if item.state == "pending"]
    shown = ended if all_ else ended[-10:]
    if len(shown) < len(ended):
        print_line(f"({len(ended) - len(shown)} more that ended: --all)")
    print_items(distinguished([*shown, *work.of("claimed", "running"), *left]), ws, of_queue=True)
    holder = store.runner()
    print_line(capitalised(str(holder)) if holder else "No runner; `medtui queue start` starts one.")


@app.command("move")
def move(
    entry: EntryArgument,
    to: Annotated[
        int, typer.Argument(metavar="POSITION", min=1, help="Its new position among the waiting runs, from 1.")
    ],
    workspace: WorkspaceOption = None,
) -> None:
    """Move a waiting run to another position."""
    from engine.contract.store.workspace import find_workspace
    from medtui.output import print_line
    from medtui.suites.requests import move_in_queue

    item, place = move_in_queue(find_workspace(workspace), entry, to)
    print_line(f"Entry {item.id} is number {place} of those that wait: {item.label}.")


@app.command("remove")
def remove(entry: EntryArgument, workspace: WorkspaceOption = None) -> None:
    """Remove a waiting run from the queue."""
    from engine.contract.store.workspace import find_workspace
    from medtui.output import print_line
    from medtui.suites.requests import remove_from_queue

    item = remove_from_queue(find_workspace(workspace), entry)
    kept = f" Its run {item.run} stays." if item.run is not None else ""
    print_line(f"Removed entry {item.id}: {item.label}.{kept}")


@app.command("start", short_help="Run the queue; interrupted runs are resumed.")
def start(
    slots: SlotsOption = None,
    stay: Annotated[bool, typer.Option("--stay", help="Wait for more runs when the queue is empty.")] = False,
    retry: RetryOption = False,
    detach: DetachOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> int:
    """Run the queue; interrupted runs are resumed first. An entry that was stopped alone is not run again."""
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.work import warn_of_damage, work_detached, work_on
    from medtui.output import print_line
    from medtui.suites.requests import describe_next, refuse_second_runner, retry_ended, slots_of_items
    from medtui.suites.store import queue_of

    store = queue_of(find_workspace(workspace))
    refuse_second_runner(store)
    journal = store.make()
    warn_of_damage(store, journal.work)
    if not (journal.work.items or stay or json):
        print_line(EMPTY)
        return 0
    retry_ended(store, journal, failed=retry)
    if not (journal.work.of("pending", "claimed", "running") or stay or json):
        words = describe_next(store, journal.work)
        print_line("Nothing is waiting in the queue." + (f" {words}." if words else ""))
        return 0
    chosen = slots_of_items(journal.work.of("pending"), slots)
    if detach:
        return work_detached(store, slots, as_json=json, stays=stay)
    return work_on(store, chosen, as_json=json, stays=stay)


@app.command("stop", short_help="Stop the live runs of the queue.")
def stop(
    abort: Annotated[bool, typer.Option("--abort", help="Save only checkpoints; evaluate nothing.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Let the live runs finish; start no more.")] = False,
    workspace: WorkspaceOption = None,
) -> int:
    """Stop the live runs of the queue after the current batch, and start no more."""
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.suite import stop_runner
    from medtui.suites.store import queue_of

    return stop_runner(queue_of(find_workspace(workspace)), abort=abort, finish=finish)
