"""Options given before a command: they apply as if given after it; those given after it take precedence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from engine.contract.wire.errors import UsageError
from medtui.sentences import CommandLine

EVERYWHERE = ("workspace", "data", "offline")
SPELLED = {"everywhere": "all"}  # options whose parameter has another name


def pass_to_subcommand(context: typer.Context, given: dict[str, Any]) -> None:
    """Make the values given before a command the defaults of its own options.

    Those of EVERYWHERE are accepted for every command, even where unused. Raises UsageError for any other option that
    the command lacks, and for several workspaces where it takes one.
    """
    name = context.invoked_subcommand or ""
    command = context.command.get_command(context, name)  # type: ignore[attr-defined]
    given = {option: value for option, value in given.items() if value}
    full_name = f"{context.command_path} {name}"
    missing_features = [option for option in given if option not in EVERYWHERE and not _knows(command, option)]
    if missing_features:
        option = SPELLED.get(missing_features[0], missing_features[0])
        raise UsageError(CommandLine.NO_SUCH_OPTION, command=full_name, option=option)
    if not _takes_several(command):
        one_workspace(given.get("workspace"), full_name)
    context.default_map = {**(context.default_map or {}), name: _defaults(command, given)}


def one_workspace(given: list[Path] | None, command: str) -> Path | None:
    """Raises UsageError for several."""
    if given and len(given) > 1:
        raise UsageError(CommandLine.ONE_WORKSPACE, command=command, number=len(given))
    return given[0] if given else None


def _knows(command: Any, option: str) -> bool:
    """The command, or one of those in it, which then is asked again."""
    own = any(parameter.name == option for parameter in command.params)
    return own or any(_knows(one, option) for one in getattr(command, "commands", {}).values())


def _takes_several(command: Any) -> bool:
    return any(parameter.name == "workspace" and parameter.multiple for parameter in command.params)


def _defaults(command: Any, given: dict[str, Any]) -> dict[str, Any]:
    inner = {name: _defaults(one, given) for name, one in getattr(command, "commands", {}).items()}
    own = {option: value for option, value in given.items() if option != "workspace"}
    if workspaces := given.get("workspace"):
        if _takes_several(command):
            own["workspace"] = workspaces
        elif len(workspaces) == 1:  # else the command that takes one refuses them, once it is known which it is
            own["workspace"] = workspaces[0]
    return {**own, **inner}
