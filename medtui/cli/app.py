"""`medtui` and the options that may stand before a command."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.contract.wire.errors import UsageError
from medtui.cli.commands import Program
from medtui.cli.global_options import one_workspace, pass_to_subcommand
from medtui.cli.options import DataOption, JsonOption, OfflineOption, WorkspacesOption
from medtui.output import print_line
from medtui.sentences import CommandLine

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    # `--batch_size` and `--batch-size` are one
    "token_normalize_func": lambda token: token.replace("_", "-"),
}

app = typer.Typer(
    name="medtui",
    cls=Program,
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
    from medtui.cli.console import open_console

    return open_console(one_workspace(workspace, "medtui"), data, readonly=readonly)
