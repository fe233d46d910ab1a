"""`--help` of every command: one word for one kind of value, and every option once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from medtui.cli.app import app


def commands(command: Any, name: str = "medtui", parent: Any = None) -> Iterator[tuple[str, str]]:
    """The name and the help of this one and of all below it."""
    context = command.make_context(name.split()[-1], [], parent=parent, resilient_parsing=True)
    yield name, command.get_help(context)
    for inner in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from commands(command.get_command(context, inner), f"{name} {inner}", context)


HELP = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", HELP)
def test_the_help_of_a_command_says_file_folder_or_run_and_no_type_of_python(name: str) -> None:
    assert not re.findall(r"<[^>]*(?:path|Path|PATH)[^>]*>|<list\[str\]>", HELP[name])
    arguments = re.search(r"^Arguments:\n((?:  .*\n)+)", HELP[name], re.MULTILINE)
    assert arguments is None or "<" not in re.sub(r"  +.*", "", arguments[1].replace("\n  ", "\n"))


@pytest.mark.parametrize("name", HELP)
def test_the_help_of_a_command_tells_each_option_once(name: str) -> None:
    _, _, shown = HELP[name].partition("\nOptions:\n")
    options = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", shown, re.MULTILINE)
    assert sorted(options) == sorted(set(options))
    assert HELP[name].count("--offline") <= 1


def test_doctor_takes_offline_after_its_name_as_before_it() -> None:
    assert "--offline" in HELP["medtui doctor"]


def test_the_help_of_the_list_says_that_a_resumed_run_comes_last_with_the_date_of_its_first_start() -> None:
    words = " ".join(HELP["medtui runs list"].split())
    assert "The run that was started or resumed last is the last one" in words
    assert "its `date` is that of its first start" in words and "newest" not in HELP["medtui runs"]
