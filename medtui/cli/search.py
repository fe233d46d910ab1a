"""`medtui search`: the best values of some fields, by the validation split, asked for one trial after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

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
from medtui.cli.suite import DryRunOption, RetryOption
from medtui.cli.unknown import FileCommands

if TYPE_CHECKING:
    from medtui.search.definition import Search
    from medtui.search.trials import Trial, Trials
    from medtui.suites.store import Store
    from medtui.suites.work import Work

app = typer.Typer(help=COMMANDS["search"].summary, cls=FileCommands, rich_markup_mode=None, no_args_is_help=True)
NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="A search. [default: the only one, or the one that runs]", show_default=False),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write to this file instead of the terminal.", parser=path_named
    ),
]


@app.command("run", short_help="Run a search, or continue it; `search FILE` is the same.")
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The search's file.", parser=path_named)],
    slots: SlotsOption = None,
    on: OnOption = None,
    slurm: SlurmOption = None,
    retry: RetryOption = False,
    dry_run: DryRunOption = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> int:
    """Run a search, trial after trial, until its budget is used up; an interrupted one continues.

    FILE is YAML: recipe; space, recipe fields with a range or a list of values; budget, {runs: N} or {hours: N};
    objective, epoch, pruning, sampler, random_seed, name; seeds, and recipe fields with one value. It needs the extra
    medtui[search]. With --on slurm it submits the runs and waits for them, in tmux say.
    """
    from engine.contract.files.paths import expanded
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.cluster import refuse_only_on_cluster
    from medtui.cli.run import data_folders
    from medtui.cli.search_work import begin, begin_on_cluster
    from medtui.search.definition import defined
    from medtui.search.search_file import read_search

    refuse_only_on_cluster(on, slots, slurm)
    ws = find_workspace(workspace)
    search = defined(read_search(expanded(str(file))), tuple(data_folders(data)), offline=offline)
    if on is not None:
        return begin_on_cluster(search, ws, on, slurm or [], retry=retry, dry_run=dry_run, as_json=json)
    return begin(search, ws, slots=slots, retry=retry, dry_run=dry_run, as_json=json)


@app.command("resume", short_help="Continue a search where it stopped.")
def resume(
    name: NameArgument = None,
    slots: SlotsOption = None,
    on: OnOption = None,
    slurm: SlurmOption = None,
    retry: RetryOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> int:
    """Continue a search: interrupted and stopped runs are resumed, then more trials follow."""
    from medtui.cli.cluster import refuse_only_on_cluster
    from medtui.cli.search_work import begin, begin_on_cluster

    refuse_only_on_cluster(on, slots, slurm)
    found = _found(name, workspace)
    if on is not None:
        ws = found.store.workspace
        return begin_on_cluster(found.search, ws, on, slurm or [], resumes=True, retry=retry, as_json=json)
    return begin(found.search, found.store.workspace, slots=slots, retry=retry, dry_run=False, as_json=json)


@app.command("status", short_help="Show the progress of a search, and its best trial.")
def status(name: NameArgument = None, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Show the progress of a search, run by run, and its best trial."""
    from medtui.output import print_json
    from medtui.plain.search import print_status, search_values
    from medtui.search.planner import SearchPlanner

    found = _found(name, workspace)
    store, work, search, trials = found.store, found.work, found.search, found.trials
    if json:
        print_json(search_values(store, work, search, trials))
        return
    planner = SearchPlanner(search, found.reader)
    print_status(store, work, search, trials, over=work.next is None and planner.is_over(work))


@app.command("stop", short_help="Stop all live runs of a search.")
def stop(
    name: NameArgument = None,
    abort: Annotated[bool, typer.Option("--abort", help="Save only checkpoints.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Let the live runs finish; start no more.")] = False,
    workspace: WorkspaceOption = None,
) -> int:
    """Stop all live runs of a search after the current batch, and start no more."""
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.suite import stop_runner
    from medtui.suites.store import find_live

    return stop_runner(find_live(find_workspace(workspace), name, search=True), abort=abort, finish=finish)


@app.command("table", short_help="Show the trials, the best first.")
def table(
    name: NameArgument = None,
    output: OutputOption = None,
    force: ForceOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Show the trials with their validation results, the best first; `-o FILE.csv` writes them."""
    from medtui.output import print_json
    from medtui.plain.search import print_trials, trials_text
    from medtui.rich_output import stdout_console
    from medtui.search.results import csv_of, ranked, row

    found = _found(name, workspace)
    search, trials = found.search, found.trials
    if json:
        print_json([row(trial) | {"values": trial.values} for trial in ranked(search, trials)])
    elif output is None:
        print_trials(stdout_console(), search, trials)
    else:
        as_csv = output.suffix.lower() == ".csv"
        text = csv_of(search, trials) if as_csv else trials_text(search, trials)
        _write(output, text, (".csv", ".txt", ""), force=force)


@app.command("best", short_help="Show the best trial as a recipe.")
def best(
    name: NameArgument = None,
    output: OutputOption = None,
    force: ForceOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show the best trial as a recipe, with the evidence in its comments; `-o FILE.yaml` writes it."""
    from medtui.output import print_text
    from medtui.search.results import best_text
    from medtui.search.trials import best_of

    found = _found(name, workspace)
    search, trials = found.search, found.trials
    best_trial = best_of(search, _completed(search, trials))[0]
    text = best_text(search, trials, best_trial)
    if output is None:
        print_text(text.removesuffix("\n"))
    else:
        _write(output, text, (".yaml", ".yml", ""), force=force)


@app.command("figure", short_help="Plot the trials and the importance of each field.")
def figure(
    name: NameArgument = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The PNG file to write.", parser=path_named)
    ] = Path("search.png"),
    force: ForceOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Plot the result of each trial, the best so far, and the importance of each field."""
    from engine.contract.files.paths import absolute, expanded
    from engine.contract.wire.jobs import Importance, SearchFigure, TrialValue
    from medtui.cli.who import current_user
    from medtui.client.job import do_job
    from medtui.client.output_file import check_ending, check_output
    from medtui.output import print_line
    from medtui.search.asking import importances, require_optuna
    from medtui.search.results import describe_objective

    require_optuna()
    found = _found(name, workspace)
    search, trials = found.search, found.trials
    target = expanded(str(output))
    check_output(target, force=force, is_picture=True)
    check_ending(target, (".png", ""))
    _completed(search, trials)
    start = SearchFigure(
        id="start",
        by=current_user(),
        title=f"Search {search.name}",
        ylabel=describe_objective(search).partition(" at ")[0],
        higher_is_better=search.higher_is_better,
        trials=[TrialValue(number=one.number, value=one.value) for one in trials if one.state != "open"],
        importances=[Importance(name=path, value=value) for path, value in importances(search, trials).items()],
        output=str(absolute(target)),
    )
    do_job(start, found.store.workspace)
    print_line(f"Wrote {output}.")


class _Found(NamedTuple):
    """A search that was begun, as it was when its journal and the files of its jobs were read."""

    store: Store
    work: Work
    search: Search
    reader: Trials
    trials: list[Trial]


def _found(name: str | None, workspace: Path | None) -> _Found:
    """A search that was begun, and its trials. Raises UsageError."""
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from medtui.cli.work import warn_of_damage
    from medtui.cluster.submit import work_on_cluster
    from medtui.search.definition import defined_before
    from medtui.search.trials import Trials
    from medtui.sentences import Searches
    from medtui.suites.store import find_suite

    store = find_suite(find_workspace(workspace), name, search=True)
    work = work_on_cluster(store)
    warn_of_damage(store, work)
    search = defined_before(work, store.name)
    if search is None:
        raise UsageError(Searches.NO_DEFINITION, name=store.name, path=store.folder)
    reader = Trials(search, store.workspace)
    return _Found(store, work, search, reader, reader.of(work))


def _completed(search: Search, trials: list[Trial]) -> list[Trial]:
    """Raises UsageError where there is none."""
    from engine.contract.wire.errors import UsageError
    from medtui.sentences import Searches

    found = [trial for trial in trials if trial.value is not None]
    if not found:
        raise UsageError(Searches.NOT_BEGUN, name=search.name)
    return found


def _write(output: Path, text: str, endings: Sequence[str], *, force: bool) -> None:
    """Raises OutputError."""
    from engine.contract.files.paths import expanded
    from medtui.client.output_file import check_ending, check_output, write_text
    from medtui.output import print_line

    target = expanded(str(output))
    check_output(target, force=force)
    check_ending(target, endings)
    write_text(target, text)
    print_line(f"Wrote {output}.")
