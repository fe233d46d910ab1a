"""Commands and options that do not exist: an error that suggests similar ones, by meaning and by spelling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from engine.contract.wire.errors import UsageError
from medtui.sentences import CommandLine

_NEGATED = re.compile(r"-[^-].+")  # there are no options of one dash, but for -h


class Commands(TyperGroup):
    """A group of commands that answers an unknown one as every other unknown name is answered."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        normalize = ctx.token_normalize_func or (lambda token: token)
        if args and not ctx.resilient_parsing and self.get_command(ctx, normalize(args[0])) is None:
            raise unknown_command(self, ctx, args[0])
        return super().resolve_command(ctx, args)


class FileCommands(Commands):
    """`medtui search FILE` is `medtui search run FILE`: what looks like a file is no command."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        words = list(_plain_words(args, self.params))
        has_file = any("/" in word or word.lower().endswith((".yaml", ".yml")) for word in words)
        named = any(word in self.commands for word in words)
        return super().parse_args(ctx, ["run", *args] if has_file and not named else args)


class RunCommands(Commands):
    """`medtui runs FILTER…` is `medtui runs list FILTER…`: what looks like a term of a filter is no command."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        from medtui.client.run_filter import is_term

        first = next(_plain_words(args, self.params), None)
        return super().parse_args(ctx, ["list", *args] if first is not None and is_term(first) else args)


class FilteredCommand(TyperCommand):
    """A command whose words are a filter: `-tag:bad` is a term, and no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        negated = [word for word in args if _NEGATED.match(word)] if "--" not in args else []
        others = [word for word in args if word not in negated]
        return super().parse_args(ctx, [*others, "--", *negated] if negated else args)


def _plain_words(args: list[str], params: list[Any]) -> Iterator[str]:
    """What is neither an option nor the value of one."""
    valued = {name for one in params for name in one.opts if not getattr(one, "is_flag", False)}
    words = iter(args)
    for word in words:
        if word in valued:
            next(words, None)
        elif not word.startswith("--") and word not in ("-h", ""):
            yield word


def unknown_command(group: TyperGroup, context: typer.Context, found: str) -> UsageError:
    """The UsageError for a word that is no command of this group, or no option."""
    from engine.contract.recipe.names import alternatives
    from engine.contract.wire.text import shortened

    what = f"{group.name} command" if context.parent else "command"
    instead = alternatives(what, found, [name for name, one in group.commands.items() if not one.hidden])
    command, typed = context.command_path, shortened(found)
    return UsageError(
        CommandLine.UNKNOWN_RUNS_COMMAND if isinstance(group, RunCommands) else CommandLine.UNKNOWN_COMMAND,
        what=what,
        found=typed,
        alternatives=instead,
        command=command,
    )


def unknown_option(error: Any) -> UsageError:
    """The UsageError for an option that a command lacks; what is a recipe's field is told as `section.field=VALUE`."""
    from engine.contract.recipe.names import alternatives
    from engine.contract.wire.text import shortened

    context: typer.Context | None = error.ctx
    found: str = error.option_name
    known: dict[str, str] = {}
    if context is not None:
        options = [max(one.opts, key=len) for one in context.command.params if one.param_type_name == "option"]
        known = (_fields() if context.info_name in ("run", "train") else {}) | {name: name for name in options}
    command, instead = context.command_path if context else "medtui", alternatives("option", found, known)
    return UsageError(CommandLine.UNKNOWN_OPTION, found=shortened(found), alternatives=instead, command=command)


def _fields() -> dict[str, str]:
    """Recipe fields as options would be called, and how each is written; those of two sections are left out."""
    from engine.contract.recipe.schema import fields

    names = [spec.name for spec in fields().values()]
    specs = [spec for spec in fields().values() if names.count(spec.name) == 1]
    return {f"--{spec.name.replace('_', '-')}": f"{spec.path}=VALUE" for spec in specs}
