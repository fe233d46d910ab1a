"""Options given before a command: they apply as if given after it; those given after it take precedence."""

from __future__ import annotations

from typing import Any

import typer

from engine.contract.wire.errors import UsageError
from medtui.sentences import CommandLine

EVERYWHERE = ("workspace", "data", "offline")


def pass_to_subcommand(context: typer.Context, given: dict[str, Any]) -> None:
    """Make the values given before a command the defaults of its own options.

    Those of EVERYWHERE are accepted for every command, even where unused. Raises UsageError for any other option that
    the command lacks.
    """
    name = context.invoked_subcommand or ""
    command = context.command.get_command(context, name)  # type: ignore[attr-defined]
    given = {option: value for option, value in given.items() if value}
    missing_features = [option for option in given if option not in EVERYWHERE and not _knows(command, option)]
    if missing_features:
        full_name = f"{context.command_path} {name}"
        raise UsageError(CommandLine.NO_SUCH_OPTION, command=full_name, option=missing_features[0])
    context.default_map = {**(context.default_map or {}), name: _defaults(command, given)}


def _knows(command: Any, option: str) -> bool:
    """The command, or one of those in it, which then is asked again."""
    own = any(parameter.name == option for parameter in command.params)
    return own or any(_knows(one, option) for one in getattr(command, "commands", {}).values())


def _defaults(command: Any, given: dict[str, Any]) -> dict[str, Any]:
    inner = {name: _defaults(one, given) for name, one in getattr(command, "commands", {}).items()}
    return {**given, **inner}
