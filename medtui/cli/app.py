"""Every command, registered once."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.contract.errors import UsageError
from medtui.cli import control, data, doctor, evaluate, keeping, recipe, results, run, score, smoke
from medtui.cli.options import DataOption, WorkspaceOption

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    # `--batch_size` and `--batch-size` are one
    "token_normalize_func": lambda token: token.replace("_", "-"),
}

app = typer.Typer(
    name="medtui",
    help="Train image classifiers on MedMNIST, over SSH, without fear of losing a run.",
    context_settings=CONTEXT,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
    readonly: Annotated[bool, typer.Option("--readonly", help="The console shows all and changes nothing.")] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
) -> int | None:
    """Without a command: the console, on a terminal."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"medtui {installed('medtui')}")
        raise typer.Exit
    if (command := context.invoked_subcommand) is not None:
        given = {"--workspace": workspace, "--data": data, "--readonly": readonly}
        for option in [name for name, value in given.items() if value]:
            where = f"Write it after it: medtui {command} … {option} …." if option != "--readonly" else "Leave it out."
            raise UsageError(f"{option} before {command!r} is an option of the console only.", where)
        return None
    from medtui.cli.console import open_console

    return open_console(workspace, data, readonly=readonly)


app.command("run")(run.run)
app.command("attach")(control.attach)
for command in (control.pause, control.resume, control.stop, control.abort, control.kill):
    app.command(command.__name__)(command)
for name in ("tag", "note", "archive", "unarchive", "delete"):
    results.app.command(name)(getattr(keeping, name))
app.add_typer(results.app, name="runs")
app.command("evaluate")(evaluate.evaluate)
app.command("show")(results.show)
app.command("score")(score.score)
app.command("doctor")(doctor.doctor)
app.command("smoke")(smoke.smoke)
app.add_typer(recipe.app, name="recipe")
app.add_typer(data.app, name="data")
