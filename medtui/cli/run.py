"""`medtui run`: train without a console."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO, cast

import typer

from medtui.cli.options import DataOption, OfflineOption, WorkspaceOption

if TYPE_CHECKING:
    from engine.contract.protocol import Start
    from engine.contract.recipe import Recipe
    from engine.contract.workspace import Workspace
    from medtui.cli.compose import Flags
    from medtui.headless import Show


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, whatever the job."""

    recipe: str | None
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
    recipe: Annotated[str | None, typer.Argument(help="A recipe file, or the name of a shipped one.")] = None,
    config: Annotated[str | None, typer.Option(help="The same as RECIPE.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set. [default: bloodmnist]")] = None,
    epochs: Annotated[int | None, typer.Option(help="[default: 60]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="[default: 128]")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate. [default: 0.008]")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 42]")] = None,
    mixup_alpha: Annotated[float | None, typer.Option(help="0 is off. [default: 0.002]")] = None,
    patience: Annotated[int | None, typer.Option(help="Epochs. [default: 15]")] = None,
    momentum: Annotated[float | None, typer.Option(help="[default: 0.9]")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="[default: 0.0005]")] = None,
    no_tta: Annotated[bool, typer.Option("--no-tta", help="Test without test-time augmentation.")] = False,
    hflip: Annotated[float | None, typer.Option(help="Chance. [default: by data set, 0.5 or 0]")] = None,
    rotation_angle: Annotated[float | None, typer.Option(help="Degrees either way. [default: 10]")] = None,
    jitter_val: Annotated[float | None, typer.Option(help="Brightness and contrast. [default: 0.2]")] = None,
    model_name: Annotated[str | None, typer.Option(help='[default: "ResNet-18 Adapted"]')] = None,
    reproducible: Annotated[bool, typer.Option("--reproducible", help="Bit for bit.")] = False,
    allow_process_kill: Annotated[
        str | None, typer.Option(metavar="BOOL", help="May leftover engines be ended. [default: true]")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Wins over all.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with an interrupted run: a folder, a name, or `last`.")
    ] = None,
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Resume although versions, threads or the recipe changed; marked.")
    ] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until nobody holds the workspace.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it trains; the run goes on.")] = False,
    offline: OfflineOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print the protocol's events, and nothing else.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="The per-class table at each epoch's end.")] = False,
) -> int:
    """Train a model from a recipe. The recipe wins over flags; --set wins over the recipe."""
    flags: Flags = {
        "dataset.name": dataset,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
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
    asked = Asked(recipe or config, given, set_ or [], workspace, data, json, verbose, wait, detach, offline)
    return _run(asked) if resume is None else _resume(asked, resume, allow_drift=allow_drift)


def _boolean(text: str | None) -> Any:
    """`true` and `True` alike; what is neither stays text, for the schema to refuse."""
    return {"true": True, "false": False}.get(text.lower(), text) if text is not None else None


def _run(asked: Asked) -> int:
    from engine.contract.protocol import Start
    from engine.contract.workspace import find_workspace

    recipe = _composed(asked.recipe, asked)
    place = find_workspace(asked.workspace)
    start = Start(
        id="start",
        by="medtui run",
        job="train",
        recipe=recipe.model_dump(mode="json"),
        data=data_folders(asked.data),
        on_disconnect=on_disconnect(recipe, detach=asked.detach),
        command_line=_command_line(),
    )
    return _done(start, place, recipe, asked)


def _resume(asked: Asked, word: str, *, allow_drift: bool) -> int:
    """Go on with a run, by its own recipe unless one is named. What is set besides must not change its identity."""
    from engine.contract.run_directory import find_run
    from engine.contract.workspace import find_workspace
    from medtui.client.resume import resume_command, workspace_of

    place = find_workspace(asked.workspace)
    run = find_run(place.outputs, word)
    if asked.workspace is None:
        place = workspace_of(run, place)
    recipe = _composed(asked.recipe or str(run.recipe), asked)
    start = resume_command(
        run,
        place,
        by="medtui run",
        data=data_folders(asked.data),
        recipe=recipe.model_dump(mode="json"),
        on_disconnect=on_disconnect(recipe, detach=asked.detach),
        allow_drift=allow_drift,
        command_line=_command_line(),
    )
    return _done(start, place, recipe, asked)


def _composed(name: str | None, asked: Asked) -> Recipe:
    """The recipe of `compose`, possible on this machine; what it warns of is said."""
    from engine.contract.hardware import refuse_impossible
    from medtui.cli.compose import compose
    from medtui.text import clean

    recipe, warnings = compose(name, asked.flags, asked.assignments)
    refuse_impossible(recipe)
    for warning in warnings:
        print(f"medtui: {clean(warning)}", file=sys.stderr)
    return recipe


def _command_line() -> list[str]:
    return [os.fsencode(argument).decode(errors="backslashreplace") for argument in sys.argv]


def on_disconnect(recipe: Recipe, *, detach: bool) -> Literal["continue", "stop"]:
    """What a headless run does when its terminal goes away. Raises UsageError."""
    from engine.contract.errors import UsageError

    wanted = recipe.runtime.on_disconnect
    if detach and wanted == "stop":
        raise UsageError(
            "--detach leaves the run alone, and runtime.on_disconnect says that it stops then.",
            "Write `auto` or `continue` there, or leave --detach out.",
        )
    return "continue" if detach or wanted == "continue" else "stop"


def _done(start: Start, place: Workspace, recipe: Recipe, asked: Asked) -> int:
    """Leftovers ended where the recipe allows it, then the job, shown as was asked. Its exit code."""
    from medtui.headless import JsonLines, end_ghosts, run_headless

    show = JsonLines() if asked.as_json else show_of(asked.verbose, bars=not asked.detach)
    if recipe.runtime.allow_process_kill:
        end_ghosts(place, show)
    start = start.model_copy(update={"offline": asked.offline})
    return run_headless(start, place, show, wait=asked.wait, detach=asked.detach)


def show_of(verbose: bool, *, bars: bool = True, lasting: bool = True) -> Show:
    from rich.console import Console

    from medtui.output import LastingOutput
    from medtui.progress import LiveBars, PlainLines

    output = cast(TextIO, LastingOutput(sys.stdout)) if lasting else sys.stdout
    console = Console(file=output, highlight=False, emoji=False)
    if console.is_terminal and bars:
        return LiveBars(console, verbose=verbose)
    return PlainLines(Console(file=output, highlight=False, emoji=False, soft_wrap=True), verbose=verbose)


def data_folders(data: Path | None) -> list[str]:
    """`--data` as an engine takes it. Raises UsageError."""
    from engine.contract.errors import UsageError
    from engine.contract.workspace import readable_path

    if data is None:
        return []
    readable_path(data)
    if not data.is_dir():
        raise UsageError(f"Expected a folder for --data, found none at {data}.", "Name the folder of the .npz files.")
    return [str(data.resolve())]
