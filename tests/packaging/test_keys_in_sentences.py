"""No sentence of the console names a key by itself: the user may have given its action another one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from medtui.actions import ACTIONS

ROOT = Path(__file__).resolve().parents[2]
THE_REGISTRY = "medtui/actions.py"

KEYS = sorted({action.key for action in ACTIONS} - {"enter", "a", "I"}, key=len, reverse=True)  # enter is no action's
VERBS = "adds asks attaches cancels clears closes confirms deletes does edits ends fetches is leaves marks moves opens"
VERBS += " pauses reads reloads resumes reverts runs saves shows sorts starts stops takes then undoes watches writes"
KEY_ACTS = re.compile(
    rf"(?:^|[\n;,:.\"'({{] ?|(?:then|and|or) )(?:{'|'.join(map(re.escape, KEYS))}) (?:{'|'.join(VERBS.split())})\b"
)
PRESS = re.compile(rf"\b(?:press|hit|type|with) (?:{'|'.join(map(re.escape, KEYS))})(?![\w.-])")
ENTER_OR_A = re.compile(r"(?:^|[\n;,:] ?)a (?:attaches|watches)\b")


def sentences(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every text of a module but its docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value, node.lineno


def names_a_key(text: str) -> bool:
    return any(pattern.search(text) for pattern in (KEY_ACTS, PRESS, ENTER_OR_A))


def test_every_key_in_a_sentence_is_that_of_the_action() -> None:
    paths = sorted(
        path for package in ("console", "client", "machine") for path in (ROOT / "medtui" / package).rglob("*.py")
    )
    assert len(paths) > 60
    found = [
        f"{path.relative_to(ROOT)}:{line} {text!r}"
        for path in paths
        for text, line in sentences(ast.parse(path.read_text(encoding="utf-8")))
        if names_a_key(text)
    ]
    assert not found, "take the key from the action: key_of(widget, id)"


@pytest.mark.parametrize(
    "text",
    [
        *("paused; p resumes", "The file is gone; ^s writes it.", "4 shows the results", "mark with space, then"),
        *("r runs the recipe, a attaches to a run", "; a attaches to it", "press C", "; X ends one", "esc leaves"),
    ],
)
def test_the_rule_sees_a_key_in_a_sentence(text: str) -> None:
    assert names_a_key(text)


@pytest.mark.parametrize("text", ["what a run does is told", "with a note", "epochs 3 is fine", "a leftover engine"])
def test_the_rule_ignores_other_words(text: str) -> None:
    assert not names_a_key(text)
