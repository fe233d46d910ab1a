"""Every command by its name. Its module is imported once the command is named: `--help` lists all and imports none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import typer
import typer.main

from medtui.cli.unknown import Commands


class Entry(NamedTuple):
    source: str  # module:attribute in medtui.cli: a function, or the Typer of a group
    summary: str  # its line in `medtui --help`, within 80 columns


COMMANDS = {
    "run": Entry("run:run", "Train a model; command-line values override the recipe."),
    "train": Entry("run:run", "Alias of `run`."),
    "attach": Entry("control:attach", "Watch a live or finished run; detaching does not end it."),
    "pause": Entry("control:pause", "Pause a run after the current batch; saves a checkpoint."),
    "resume": Entry("control:resume", "Resume a paused run."),
    "stop": Entry("control:stop", "End a run after the current batch; writes all its results."),
    "abort": Entry("control:abort", "End a run after the current batch; saves only a checkpoint."),
    "kill": Entry("control:kill", "Force a run to end: abort, then SIGTERM, then SIGKILL."),
    "evaluate": Entry("evaluate:evaluate", "Evaluate a run again; results go to its evaluations/ folder."),
    "predict": Entry("predict:predict", "Predict the classes of images, as CSV or JSON lines."),
    "export": Entry("export:export", "Export a run's model: ONNX, torch.export, bundle, model card."),
    "report": Entry("report:report", "Build the missing tables, workbook and figures of a run."),
    "reproduce": Entry("reproduce:reproduce", "Train what published values need, and compare."),
    "show": Entry("show:show", "Show a run: outcome, results, per-class metrics, paths."),
    "track": Entry("track:track", "Write a run to TensorBoard, MLflow, W&B or Trackio."),
    "score": Entry("score:score", "Compute AUC and ACC of a MedMNIST result file."),
    "doctor": Entry("doctor:doctor", "Check the machine; exit code 1 when a check fails."),
    "smoke": Entry("smoke:smoke", "Test the full pipeline in seconds; nothing is kept."),
    "runs": Entry("results:app", "Runs: list, tag, note, archive, unarchive, delete, prune."),
    "recipe": Entry("recipe:app", "Recipes: write, validate, print the schema."),
    "data": Entry("data:app", "Data sets and your own images: list, fetch, explore, export."),
    "suite": Entry("suite:app", "Suites: many runs from one file, and their table."),
    "queue": Entry("queue:app", "The queue: runs that wait for their turn; add more at any time."),
    "search": Entry("search:app", "Search for the best hyperparameters: `medtui search FILE`."),
}


class ImportedCommands(Mapping[str, Any]):
    """The commands as the parser's group holds them."""

    def __getitem__(self, name: str) -> Any:
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Program(Commands):
    """`medtui`."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        commands: Any = ImportedCommands()  # as the parser uses it: nothing is added
        self.commands = commands

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@cache
def _command(name: str) -> Any:
    """Raises KeyError."""
    source, summary = COMMANDS[name]
    module, _, attribute = source.partition(":")
    found = getattr(import_module(f"medtui.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        command: Any = typer.main.get_group(found)
        command.name = name
        return _without_types(command)
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    program.command(name, short_help=summary)(found)
    return _without_types(typer.main.get_command(program))


def _without_types(command: Any) -> Any:
    """In the help of an argument its name says what it is: `RUN`, `FILE`."""
    for one in command.params:
        if one.param_type_name == "argument":
            one.metavar = one.metavar or one.name.upper()
            one.display_type_rich = lambda ctx: None
    for inner in getattr(command, "commands", {}).values():
        _without_types(inner)
    return command
