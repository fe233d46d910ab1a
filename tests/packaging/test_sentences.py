"""Errors and alarms are data: a sentence of a catalogue, and its fields. How each reads is pinned here alone.

`MEDTUI_UPDATE_GOLDEN=1 pytest tests/packaging/test_sentences.py` writes the catalogues anew; then read the difference.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine.contract.sentences
import engine.sentences
import medtui.sentences
from engine.contract.sentence import Sentence

ROOT = Path(__file__).resolve().parents[2]
CATALOGUES = {
    "contract": engine.contract.sentences,
    "engine": engine.sentences,
    "console": medtui.sentences,
}
GOLDEN = Path(__file__).parent / "sentences"


def sentences_of(module: object) -> dict[str, Sentence]:
    """By `Group.NAME`, as sources name them."""
    return {
        f"{group}.{name}": sentence
        for group, members in vars(module).items()
        if isinstance(members, type) and members is not Sentence
        for name, sentence in vars(members).items()
        if isinstance(sentence, Sentence)
    }


ALL = {name: sentence for module in CATALOGUES.values() for name, sentence in sentences_of(module).items()}


def names_in(argument: ast.expr) -> list[str]:
    """Of the sentence that this argument is, or of both that it may be."""
    either = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
    return [name for name in map(ast.unparse, either) if name in ALL]


def used() -> Iterator[tuple[str, str, set[str] | None, str]]:
    """Each use of a sentence in product code: where, its name, the fields given (None: `**`), called by what."""
    for path in sorted([*(ROOT / "engine").rglob("*.py"), *(ROOT / "medtui").rglob("*.py")]):
        if path.name == "sentences.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            for argument in node.args:
                for name in names_in(argument):
                    fields = {keyword.arg for keyword in node.keywords}
                    given = None if None in fields else {str(field) for field in fields}
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", name, given, ast.unparse(node.func)


NOT_FIELDS = {"problems", "line"}  # of errors and problems themselves


def test_every_error_gives_the_fields_of_its_sentence() -> None:
    wrong = [
        f"{where}: {name} has {sorted(ALL[name].fields)}, given {sorted(given - NOT_FIELDS)}"
        for where, name, given, _ in used()
        if given is not None and given - NOT_FIELDS != ALL[name].fields
    ]
    assert wrong == []


def test_every_sentence_is_used() -> None:
    sources = "".join(
        path.read_text()
        for path in [*(ROOT / "engine").rglob("*.py"), *(ROOT / "medtui").rglob("*.py")]
        if path.name != "sentences.py"
    )
    assert [name for name in ALL if name not in sources] == []


def test_codes_are_unique() -> None:
    codes = [sentence.code for module in CATALOGUES.values() for sentence in sentences_of(module).values()]
    assert sorted(set(codes)) == sorted(codes)


def error_names() -> set[str]:
    """Every class of errors that is made of a sentence, wherever it is defined."""
    found = {"MedtuiError"}
    classes = [
        node
        for path in [*(ROOT / "engine").rglob("*.py"), *(ROOT / "medtui").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    while new := {n.name for n in classes if found & {ast.unparse(base) for base in n.bases}} - found:
        found |= new
    return found


def test_no_error_is_made_of_text() -> None:
    """Not where it is raised: a sentence that stands there can be reworded only by whoever finds it."""
    errors, found = error_names(), []
    for path in sorted([*(ROOT / "engine").rglob("*.py"), *(ROOT / "medtui").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            made = isinstance(node, ast.Call) and ast.unparse(node.func) in errors and node.args
            if made and not names_in(node.args[0]):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node.args[0])[:80]}")
    assert found == []


@pytest.mark.parametrize("side", CATALOGUES)
def test_the_sentences_of_a_side(side: str) -> None:
    """The catalogue, to be read: a reworded sentence changes its module and this file, and no other test."""
    lines = []
    for sentence in sorted(sentences_of(CATALOGUES[side]).values(), key=lambda one: one.code):
        lines += [sentence.code, f"    {sentence.message}", *([f"    > {sentence.hint}"] if sentence.hint else []), ""]
    text = "\n".join(lines)
    file = GOLDEN / f"{side}.txt"
    if os.environ.get("MEDTUI_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def test_a_command_that_a_sentence_suggests_quotes_what_a_user_wrote() -> None:
    """It is made to be pasted into a shell."""
    sentence = Sentence("No {found!r}; see {found}.", "`medtui runs list {found}` lists it, as does {found}.")
    message, hint = sentence.text(found="lr>1; reboot")
    assert message == "No 'lr>1; reboot'; see lr>1; reboot."
    assert hint == "`medtui runs list 'lr>1; reboot'` lists it, as does lr>1; reboot."
