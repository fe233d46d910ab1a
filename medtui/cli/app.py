"""Every command, registered once."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from engine.contract.wire.errors import UsageError
from medtui.cli import (
    control,
    data,
    doctor,
    evaluate,
    export,
    manage,
    predict,
    queue,
    recipe,
    report,
    reproduce,
    results,
    run,
    score,
    search,
    show,
    smoke,
    suite,
    track,
)
from medtui.cli.global_options import one_workspace, pass_to_subcommand
from medtui.cli.options import DataOption, JsonOption, OfflineOption, WorkspacesOption
from medtui.cli.unknown import Commands, FilteredCommand
from medtui.output import print_line
from medtui.sentences import CommandLine

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    # `--batch_size` and `--batch-size` are one
    "token_normalize_func": lambda token: token.replace("_", "-"),
}
# for commands whose first sentence does not fit on a line of 80 columns
SUMMARIES = {
    "pause": "Pause a run after the current batch; saves a checkpoint.",
    "stop": "End a run after the current batch; writes all its results.",
    "abort": "End a run after the current batch; saves only a checkpoint.",
    "kill": "Force a run to end: abort, then SIGTERM, then SIGKILL.",
    "reproduce": "Train what published values need, and compare.",
    "score": "Compute AUC and ACC of a MedMNIST result file.",
    "track": "Write a run to TensorBoard, MLflow, W&B or Trackio.",
    "doctor": "Check the machine; exit code 1 when a check fails.",
    "smoke": "Test the full pipeline in seconds; nothing is kept.",
}

app = typer.Typer(
    name="medtui",
    cls=Commands,
    help="Train image classifiers on MedMNIST, over SSH, without fear of losing a run.",
    context_settings=CONTEXT,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
    readonly: Annotated[bool, typer.Option("--readonly", help="Open the console read-only.")] = False,
    workspace: WorkspacesOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> int | None:
    """Without a command: the console, on a terminal. Options here apply to the command that follows."""
    if version:
        from importlib.metadata import version as installed

        print_line(f"medtui {installed('medtui')}")
        raise typer.Exit
    if context.invoked_subcommand is not None:
        given = {"workspace": workspace, "data": data, "readonly": readonly, "offline": offline, "json": json}
        pass_to_subcommand(context, given)
        return None
    if json:
        raise UsageError(CommandLine.JSON_WITHOUT_COMMAND)
    if offline:
        os.environ["MEDTUI_OFFLINE"] = "1"  # for the engines that the console starts
    from medtui.cli.console import open_console

    return open_console(one_workspace(workspace, "medtui"), data, readonly=readonly)


app.command("run")(run.run)
app.command("train", short_help="Alias of `run`.")(run.run)
app.command("attach")(control.attach)
for command in (control.pause, control.resume, control.stop, control.abort, control.kill):
    app.command(command.__name__, short_help=SUMMARIES.get(command.__name__))(command)
results.app.command("list", cls=FilteredCommand)(results.list_)
for name in ("tag", "note", "archive", "unarchive", "delete", "prune"):
    results.app.command(name)(getattr(manage, name))
app.add_typer(results.app, name="runs")
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("report")(report.report)
app.command("reproduce", short_help=SUMMARIES["reproduce"])(reproduce.reproduce)
app.command("show")(show.show)
app.command("track", short_help=SUMMARIES["track"])(track.track)
app.command("score", short_help=SUMMARIES["score"])(score.score)
app.command("doctor", short_help=SUMMARIES["doctor"])(doctor.doctor)
app.command("smoke", short_help=SUMMARIES["smoke"])(smoke.smoke)
app.add_typer(recipe.app, name="recipe")
app.add_typer(data.app, name="data")
app.add_typer(suite.app, name="suite")
app.add_typer(queue.app, name="queue")
app.add_typer(search.app, name="search")
