"""Every exit code that the program can return is in README's table, and no other."""

from __future__ import annotations

import ast
import importlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import engine
import medtui
from engine.contract.wire.errors import ABORTED, COMPLETED, INTERNAL, STOPPED
from medtui.console.terminal_restore import ENDING

ROOT = Path(medtui.__file__).parents[1]
TABLE = dict(re.findall(r"^\| (\d+|128 \+ n) \| (.+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE))
OF_COMMANDS = {"REFUSED", "NO_ANSWER", "DEVIATES", "SOME_UNREADABLE", "ALL_SKIPPED", "NAMED_OTHERWISE", "INTERRUPTED"}


def returned_codes() -> Iterator[int]:
    """How a run ends, of every class of errors, and what commands and their interruption return."""
    yield from (COMPLETED, STOPPED, ABORTED, INTERNAL)
    for package in (medtui, engine):
        for file in Path(package.__path__[0]).rglob("*.py"):
            tree = ast.parse(file.read_text())
            for node in ast.walk(tree):
                match node:
                    case ast.ClassDef(body=body):
                        yield from _values(body, {"exit_code"}, file)
                    case ast.Return(value=ast.Constant(value=int(code))) if file.stem == "errors":
                        yield code
            yield from _values(tree.body, OF_COMMANDS, file)


def _values(body: list[ast.stmt], names: set[str], file: Path) -> Iterator[int]:
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in names:
            module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
            yield int(eval(ast.unparse(node.value), vars(module)))


def test_the_table_of_the_readme_has_every_exit_code_and_no_other() -> None:
    codes = set(returned_codes()) | {128 + number for number in ENDING}
    assert {1, 2, 7, 128 + signal.SIGINT, 128 + signal.SIGHUP} < codes
    assert {str(code) if code < 128 else "128 + n" for code in codes} == set(TABLE)


def test_the_table_names_what_ends_a_program_most_often() -> None:
    named = {int(code) - 128 for code in re.findall(r"\b1\d\d\b", TABLE["128 + n"])}
    assert named == {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
