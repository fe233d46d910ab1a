"""`medtui run`: train without a console."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medtui.cli.completion import data_sets, recipes, runs
from medtui.cli.options import DataOption, OfflineOption, OnOption, SlotsOption, SlurmOption, WorkspaceOption

if TYPE_CHECKING:
    from engine.contract.recipe.recipe import Recipe
    from engine.contract.store.workspace import Workspace
    from engine.contract.wire.jobs import Train
    from medtui.cli.compose import Flags
    from medtui.plain.headless import Display


@dataclass(frozen=True)
class RunOptions:
    """The options of the command line, for every kind of job."""

    recipe: str | None
    file_wins: bool  # overrides flags, as --config does
    flags: Flags
    assignments: list[str]
    workspace: Path | None
    data: Path | None
    as_json: bool
    verbose: bool
    wait: bool
    detach: bool
    offline: bool


def run(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE SECTION.FIELD=VALUE",
            help="A recipe file, the name of a shipped recipe, or a folder, .csv or .npz file with images of your own; "
            "then fields to set, as with --set.",
            show_default=False,
            autocompletion=recipes,
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            autocompletion=recipes,
            help="Recipe that overrides the flags below; each overridden flag is reported.",
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Data set to train on. [default: bloodmnist]", autocompletion=data_sets)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Number of passes over the training images. [default: 60]")] = None,
    batch_size: Annotated[str | None, typer.Option(metavar="N|auto", help="Images per batch. [default: 128]")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate. [default: 0.008]")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed of the run. [default: 42]")] = None,
    mixup_alpha: Annotated[float | None, typer.Option(help="MixUp strength; 0 turns it off. [default: 0.002]")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after this many epochs without a better training.monitor. [default: 15]")
    ] = None,
    momentum: Annotated[
        float | None, typer.Option(help="SGD momentum, or first beta of AdamW, NAdamW. [default: 0.9]")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Penalty on large weights. [default: 0.0005]")] = None,
    no_tta: Annotated[bool, typer.Option("--no-tta", help="Test without test-time augmentation.")] = False,
    hflip: Annotated[
        float | None, typer.Option(help="Probability of a horizontal flip. [default: 0.5 or 0, by data set]")
    ] = None,
    rotation_angle: Annotated[
        float | None, typer.Option(help="Maximum rotation in degrees, either way. [default: 10]")
    ] = None,
    jitter_val: Annotated[
        float | None, typer.Option(help="Maximum relative change of brightness and contrast. [default: 0.2]")
    ] = None,
    model_name: Annotated[str | None, typer.Option(help='Model to train. [default: "ResNet-18 Adapted"]')] = None,
    reproducible: Annotated[
        bool, typer.Option("--reproducible", help="Bit-identical weights for repeated runs on one machine; slower.")
    ] = False,
    allow_process_kill: Annotated[
        str | None,
        typer.Option(metavar="BOOL", help="Whether orphaned engines may be ended. [default: true]"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Set any recipe field; overrides everything else."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", autocompletion=runs, help="Continue an interrupted run: its folder, name, or `last`."
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="1-5", help="Train one run per seed, as a suite; see `medtui suite`.")
    ] = None,
    slots: SlotsOption = None,
    on: OnOption = None,
    slurm: SlurmOption = None,
    allow_drift: Annotated[
        bool,
        typer.Option(
            "--allow-drift", help="Resume even if versions, threads or the recipe changed; marks the results."
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until no other run holds the workspace.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once training starts; the run continues in the background.")
    ] = False,
    offline: OfflineOption = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print protocol events as JSON lines, and nothing else.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show the per-class table after each epoch.")
    ] = False,
) -> int:
    """Train a model; command-line values override the recipe."""
    flags: Flags = {
        "dataset.name": dataset,
        "training.epochs": epochs,
        "training.batch_size": _number(batch_size),
        "training.lr": lr,
        "training.seed": seed,
        "training.mixup_alpha": mixup_alpha,
        "training.patience": patience,
        "training.momentum": momentum,
        "training.weight_decay": weight_decay,
        "evaluation.tta": False if no_tta else None,
        "augmentation.hflip": hflip,
        "augmentation.rotation": rotation_angle,
        "augmentation.brightness": jitter_val,
        "augmentation.contrast": jitter_val,
        "model.name": model_name,
        "runtime.reproducible": reproducible or None,
        "runtime.allow_process_kill": _boolean(allow_process_kill),
    }
    given = {path: value for path, value in flags.items() if value is not None}
    recipe, assignments = split_arguments(arguments or [], config)
    assignments += set_ or []
    file_wins = config is not None
    run_options = RunOptions(
        recipe, file_wins, given, assignments, workspace, data, json, verbose, wait, detach, offline
    )
    if seeds is not None or slots is not None or on is not None or slurm:
        return _run_suite(run_options, seeds, slots, resume, on, slurm or [])
    return _run(run_options) if resume is None else _resume(run_options, resume, allow_drift=allow_drift)


def _run_suite(
    run_options: RunOptions, seeds: str | None, slots: int | None, resume: str | None, on: str | None, slurm: list[str]
) -> int:
    """One recipe with several seeds, or on a cluster: a suite that is named after the recipe. Raises UsageError."""
    from engine.contract.recipe.reader import build_recipe, layered
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from medtui.cli.cluster import refuse_only_on_cluster, submit_plan
    from medtui.cli.work import start_plan
    from medtui.sentences import Suites
    from medtui.suites.job_template import JobTemplate
    from medtui.suites.plan import planned, suite_name
    from medtui.suites.suite_file import MOST_SEEDS, TooManySeeds, parse_seeds

    refuse_only_on_cluster(on, slots, slurm)
    conflicts = {"--resume": resume, "--detach": run_options.detach, "--wait": run_options.wait}
    conflicts |= {"--seed": run_options.flags.get("training.seed") if seeds is not None else None}
    for option, given in conflicts.items():
        if given:
            raise UsageError(Suites.SEEDS_CONFLICT, option=option, first="--seeds" if on is None else "--on")
    try:
        found = parse_seeds(seeds) if seeds is not None else None
    except TooManySeeds as number:
        raise UsageError(Suites.TOO_MANY_SEEDS, limit=MOST_SEEDS, found=number) from None
    if seeds is None and slots is not None:
        raise UsageError(Suites.SLOTS_ALONE)
    if found is None and (seeds is not None or on is None):
        raise UsageError(Suites.SEEDS_INVALID, found=seeds or "nothing")
    base = _composed(run_options.recipe, run_options, here=on is None)
    values = base.model_dump(mode="json")
    recipes = [build_recipe(layered(values, {"training": {"seed": seed}})) for seed in found or [base.training.seed]]
    data = data_folders(run_options.data)
    plan = planned(suite_name(run_options.recipe, recipes[0]), recipes, data, offline=run_options.offline)
    ws, as_json = find_workspace(run_options.workspace), run_options.as_json
    if on is not None:
        return submit_plan(plan, JobTemplate(), ws, on, slurm, as_json=as_json, joins=True)
    return start_plan(plan, ws, slots=slots, as_json=as_json, joins=True)


def split_arguments(arguments: list[str], config: str | None) -> tuple[str | None, list[str]]:
    """The recipe and the assignments among plain arguments. Raises UsageError for two recipes and for an empty name."""
    from engine.contract.files.paths import is_there
    from engine.contract.recipe.reader import ASSIGNMENT
    from engine.contract.recipe.schema import fields
    from engine.contract.wire.errors import UsageError
    from medtui.output import print_error
    from medtui.sentences import CommandLine

    assignments = [word for word in arguments if ASSIGNMENT.match(word) and not is_there(word)]
    recipes = [word for word in arguments if word not in assignments]
    for name in recipes:
        if ASSIGNMENT.match(name):
            print_error(f"medtui: {name} is an existing file, read as the recipe; --set {name} would set the field.")
    if config is not None:
        recipes.append(config)
    if "" in recipes:
        raise UsageError(CommandLine.RECIPE_EMPTY)
    if len(recipes) > 1:
        if bare := [name for name in recipes if name in fields() and not is_there(name)]:
            raise UsageError(CommandLine.NO_VALUE, field=bare[0])
        raise UsageError(CommandLine.SEVERAL_RECIPES, number=len(recipes), recipes=", ".join(recipes))
    return (recipes[0] if recipes else None), assignments


def _boolean(text: str | None) -> Any:
    """`true` and `True` alike; what is neither stays text, for the schema to refuse."""
    return {"true": True, "false": False}.get(text.lower(), text) if text is not None else None


def _number(text: str | None) -> Any:
    """A whole number, or `auto`; what is neither stays text, for the schema to refuse."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() else text


def _run(run_options: RunOptions) -> int:
    recipe = _composed(run_options.recipe, run_options)
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.jobs import Train

    ws = find_workspace(run_options.workspace)
    start = Train(
        id="start",
        by="medtui run",
        recipe=recipe.model_dump(mode="json"),
        data=data_folders(run_options.data),
        on_disconnect=on_disconnect(recipe, detach=run_options.detach),
        command_line=_command_line(),
    )
    return _run_job(start, ws, recipe, run_options)


def _resume(run_options: RunOptions, word: str, *, allow_drift: bool) -> int:
    """Resume a run with its own recipe unless one is named. Other settings must not change its identity."""
    from engine.contract.recipe.reader import require_recipe
    from engine.contract.store.find_run import find_run
    from engine.contract.store.workspace import find_workspace
    from medtui.client.resume import resume_command, workspace_of
    from medtui.cluster.submit import refuse_on_cluster
    from medtui.suites.store import store_of_run

    ws = find_workspace(run_options.workspace)
    run = find_run(ws.outputs, word)
    if run_options.workspace is None:
        ws = workspace_of(run, ws)
    if (store := store_of_run(run, ws)) is not None:
        refuse_on_cluster(store)
    if run_options.recipe is None:
        require_recipe(run.recipe)
    recipe = _composed(run_options.recipe or str(run.recipe), run_options)
    start = resume_command(
        run,
        ws,
        by="medtui run",
        data=data_folders(run_options.data),
        recipe=recipe.model_dump(mode="json"),
        on_disconnect=on_disconnect(recipe, detach=run_options.detach),
        allow_drift=allow_drift,
        command_line=_command_line(),
    )
    return _run_job(start, ws, recipe, run_options)


def _composed(name: str | None, run_options: RunOptions, *, here: bool = True) -> Recipe:
    """The recipe of `compose`; warnings are printed. `here`: it is checked against this machine, which will run it."""
    from medtui.cli.compose import compose

    recipe, warnings = compose(name, run_options.flags, run_options.assignments, file_wins=run_options.file_wins)
    # a recipe that is refused waits for no import of what only a run needs
    from engine.contract.machine.hardware import refuse_impossible
    from medtui.client.trackers import missing_trackers
    from medtui.output import print_error

    if here:
        refuse_impossible(recipe)
    for warning in [*warnings, *missing_trackers(recipe.model_dump())]:
        print_error(f"medtui: {warning}")
    return recipe


def _command_line() -> list[str]:
    return [os.fsencode(argument).decode(errors="backslashreplace") for argument in sys.argv]


def on_disconnect(recipe: Recipe, *, detach: bool) -> Literal["continue", "stop"]:
    """What a headless run does when its terminal goes away. Raises UsageError."""
    from engine.contract.wire.errors import UsageError
    from medtui.sentences import CommandLine

    policy = recipe.runtime.on_disconnect
    if detach and policy == "stop":
        raise UsageError(CommandLine.DETACH_CONFLICT)
    return "continue" if detach or policy == "continue" else "stop"


def _run_job(start: Train, ws: Workspace, recipe: Recipe, run_options: RunOptions) -> int:
    """End orphaned engines where the recipe allows it, then run and display the job. Its exit code."""
    from medtui.plain.headless import JsonLines, end_orphans, run_headless
    from medtui.plain.notifications import RunNotifications
    from medtui.preferences import remember_workspace
    from medtui.settings import read_settings

    remember_workspace(ws.root)
    display = JsonLines() if run_options.as_json else display_for(run_options.verbose, bars=not run_options.detach)
    if recipe.runtime.allow_process_kill:
        end_orphans(ws, display)
    start = start.model_copy(update={"offline": run_options.offline})
    notifications = RunNotifications(read_settings().away, display.note)
    try:
        wait, detach = run_options.wait, run_options.detach
        return run_headless(start, ws, display, wait=wait, detach=detach, notifications=notifications)
    finally:
        notifications.close()


def display_for(verbose: bool, *, bars: bool = True, never_fails: bool = True) -> Display:
    from medtui.plain.progress import LiveBars, PlainLines
    from medtui.rich_output import stdout_console

    console = stdout_console(never_fails=never_fails)
    if console.is_terminal and bars:
        return LiveBars(console, verbose=verbose)
    return PlainLines(stdout_console(never_fails=never_fails, soft_wrap=True), verbose=verbose)


def data_folders(data: Path | None) -> list[str]:
    """`--data` as an engine takes it. Raises UsageError."""
    from engine.contract.data.archives import given_folder
    from engine.contract.store.workspace import readable_path

    if data is None:
        return []
    readable_path(data)
    return [str(given_folder(data))]
