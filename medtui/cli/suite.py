"""`medtui suite`: many runs from one file, done one after the other or several at once, and the table of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtui.cli.commands import COMMANDS
from medtui.cli.options import (
    DataOption,
    JsonOption,
    OfflineOption,
    OnOption,
    SlotsOption,
    SlurmOption,
    WorkspaceOption,
    path_named,
)
from medtui.cli.unknown import Commands

if TYPE_CHECKING:
    from medtui.suites.requests import Request
    from medtui.suites.store import Store

app = typer.Typer(help=COMMANDS["suite"].summary, cls=Commands, rich_markup_mode=None, no_args_is_help=True)
NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="A suite. [default: the only one, or the one that runs]", show_default=False),
]
RetryOption = Annotated[bool, typer.Option("--retry", help="Also retry failed runs.")]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Return once it has begun; it continues in the background and writes a log.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would run; start nothing.")]


@app.command("run", short_help="Run a suite; interrupted runs are resumed.")
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The suite's file.", parser=path_named)],
    slots: SlotsOption = None,
    on: OnOption = None,
    slurm: SlurmOption = None,
    retry: RetryOption = False,
    dry_run: DryRunOption = False,
    detach: DetachOption = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> int:
    """Run a suite: the runs that are not done yet; interrupted ones are resumed.

    FILE is YAML: recipes, seeds and any recipe field (training.lr) with a value or a list of values, of which every
    combination is a run; exclude and include, lists of such fields, to leave some out and add others; name; and slurm,
    what jobs request.
    """
    from engine.contract.files.paths import expanded
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.cluster import refuse_only_on_cluster, submit_plan
    from medtui.cli.run import data_folders
    from medtui.cli.work import start_plan
    from medtui.suites.plan import plan_of
    from medtui.suites.suite_file import read_suite

    refuse_only_on_cluster(on, slots, slurm, detach=detach)
    ws = find_workspace(workspace)
    suite = read_suite(expanded(str(file)))
    plan = plan_of(suite, data_folders(data), offline=offline)
    if on is not None:
        given = slurm or []
        return submit_plan(plan, suite.template, ws, on, given, retry=retry, dry_run=dry_run, as_json=json)
    return start_plan(plan, ws, slots=slots, retry=retry, dry_run=dry_run, detach=detach, as_json=json)


@app.command("resume", short_help="Continue a suite where it stopped.")
def resume(
    name: NameArgument = None,
    slots: SlotsOption = None,
    on: OnOption = None,
    slurm: SlurmOption = None,
    retry: RetryOption = False,
    detach: DetachOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> int:
    """Continue a suite: interrupted and stopped runs are resumed, the rest follows."""
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.cluster import refuse_only_on_cluster, resume_on_cluster
    from medtui.cli.work import warn_of_damage, work_detached, work_on
    from medtui.cluster.submit import refuse_on_cluster
    from medtui.output import print_line
    from medtui.suites.requests import refuse_second_runner, require_plan, retry_ended, slots_of_items
    from medtui.suites.store import find_suite

    refuse_only_on_cluster(on, slots, slurm, detach=detach)
    store = find_suite(find_workspace(workspace), name)
    journal = store.journal()
    warn_of_damage(store, journal.work)
    require_plan(store, journal.work)
    if on is not None:
        return resume_on_cluster(store, on, slurm or [], retry=retry, as_json=json)
    refuse_on_cluster(store)
    again = retry_ended(store, journal, failed=retry)
    if again and (holder := store.runner()) is not None:
        print_line(f"{again} run{'s' * (again != 1)} to be retried: {holder} continues with them.")
        return 0
    refuse_second_runner(store)
    chosen = slots_of_items(journal.work.items.values(), slots)
    return work_detached(store, slots, as_json=json) if detach else work_on(store, chosen, as_json=json)


@app.command("status", short_help="Show the progress of each run of a suite.")
def status(name: NameArgument = None, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Show the progress of a suite, run by run; without NAME, all suites if there are several."""
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.work import warn_of_damage
    from medtui.cluster.submit import work_on_cluster
    from medtui.output import print_json
    from medtui.plain.suite_status import print_status, print_suites
    from medtui.suites.requests import require_plan
    from medtui.suites.status import status_values
    from medtui.suites.store import find_suite, suites_of

    ws = find_workspace(workspace)
    stores = suites_of(ws)
    if name is None and len(stores) > 1 and not any(store.runner() for store in stores):
        found = [(store, work_on_cluster(store)) for store in stores]
        for one in found:
            warn_of_damage(*one)
        print_json([status_values(*one) for one in found]) if json else print_suites(found)
        return
    store = find_suite(ws, name)
    work = work_on_cluster(store)
    warn_of_damage(store, work)
    require_plan(store, work)
    print_json(status_values(store, work)) if json else print_status(store, work)


@app.command("stop", short_help="Stop all live runs of a suite.")
def stop(
    name: NameArgument = None,
    abort: Annotated[bool, typer.Option("--abort", help="Save only checkpoints; evaluate nothing.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Let the live runs finish; start no more.")] = False,
    workspace: WorkspaceOption = None,
) -> int:
    """Stop all live runs of a suite after the current batch, and start no more."""
    from engine.contract.store.workspace import find_workspace
    from medtui.suites.store import find_live

    return stop_runner(find_live(find_workspace(workspace), name), abort=abort, finish=finish)


def stop_runner(store: Store, *, abort: bool, finish: bool) -> int:
    """Ask its runner, or end its jobs. Raises UsageError where there is neither."""
    from engine.contract.wire.errors import UsageError
    from medtui.cli.cluster import stop_on_cluster
    from medtui.cli.control import REFUSED
    from medtui.cli.who import current_user
    from medtui.output import print_line
    from medtui.sentences import CommandLine
    from medtui.suites.requests import ask_orphans, ask_runner, describe_next
    from medtui.suites.search_lock import describe_coordinator

    if abort and finish:
        raise UsageError(CommandLine.SYNTAX, reason="--abort and --finish cannot be combined")
    if store.worker() is None and (journal := store.journal()).work.of("submitted"):
        return stop_on_cluster(store, journal, abort=abort, finish=finish)
    what: Request = "abort" if abort else "finish" if finish else "stop"
    if store.worker() is None:
        found = ask_orphans(store, what, current_user())
        for sentence in found.sentences:
            print_line(sentence)
        if words := describe_next(store, store.journal().work):
            print_line(f"{words}.")
        return 0 if found.all_asked else REFUSED
    of_jobs = store.coordinator() is not None
    holder = ask_runner(store, what, current_user())
    who = f"{store.owner} ({describe_coordinator(holder)})" if of_jobs else str(holder)
    effects = {"finish": "no more runs are started", "stop": "its runs stop after their batch"}
    print_line(f"{who} was asked: {effects.get(what, 'its runs abort after their batch')}.")
    if words := describe_next(store, store.journal().work):
        print_line(f"{words}.")
    return 0


@app.command("job", hidden=True)
def job(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the suite.")],
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Which of its runs, by the id in its journal.")],
    workspace: WorkspaceOption = None,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", parser=path_named, help="The job's log file, recorded with the run."),
    ] = None,
    search: Annotated[bool, typer.Option("--search", help="It is a run of the search of this name.")] = False,
) -> int:
    """Train one run of a suite or search, in a job of a scheduler."""
    import sys

    from engine.contract.store.workspace import find_workspace
    from medtui.cli.run import display_for
    from medtui.plain.suite_job import do_item
    from medtui.suites.store import Store

    store = Store(find_workspace(workspace), name, is_search=search)
    return do_item(store, item, str(log) if log is not None else None, display_for(False), sys.argv)


@app.command("table", short_help="Show mean ± sd over seeds, and published values.")
def table(
    name: NameArgument = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="text, csv, markdown, latex or xlsx. [default: by the name of --output, else text]",
            show_default=False,
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to this file instead of the terminal.", parser=path_named
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> int:
    """Show mean and standard deviation over seeds, with published values; best marked by a paired test."""
    from medtui.cli.suite_table import print_or_write

    return print_or_write(name, format_, output, force=force, workspace=workspace, as_json=json)


@app.command("curves", short_help="Plot mean curves over seeds, with a band.")
def curves(
    name: NameArgument = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The PNG file to write.", parser=path_named)
    ] = Path("curves.png"),
    measure: Annotated[
        str, typer.Option("--measure", help="What to plot: val_auc, val_acc, val_f1, val_loss or train_loss.")
    ] = "val_auc",
    force: Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Plot the mean over seeds by epoch, with a band, one panel per data set."""
    from medtui.cli.suite_table import write_curves

    write_curves(name, output, measure, force=force, workspace=workspace)
