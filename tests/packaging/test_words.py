"""The field's own words in plain English: what a reader of this field would stop at is in no name and no sentence.

The lists are of words that were here once, each with what took its place.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("engine", "medtui", "benchmarks")
# parts of identifiers: instead, write
NAMES = {
    "ladder": "escalation",
    "rung": "step",
    "climb": "escalate",
    "ascent": "escalation",
    "hurry": "skip the wait",
    "ghost": "orphaned engine",
    "tidings": "notifications",
    "desk": "open recipes",
    "aftermath": "shutdown checks",
    "watcher": "training callbacks",
    "watched": "run handle",
    "around": "status",
    "earlier": "resumed run",
    "wanted": "spec, requested, query",
    "wish": "request",
    "between": "on_progress",
    "share": "fraction",
    "strange": "untrusted, non_finite",
    "stranger": "other holder",
    "told": "reported",
    "whole": "complete",
    "mend": "fix",
    "rehearsal": "subset run",
    "beside": "next to",
}
# names that hold such a word in another sense
ALLOWED = {"shares_pid_namespace", "shares_namespace"}
# in texts that people read: sentences and documents
PHRASES = {
    r"\bfor ever\b": "permanently, forever",
    r"\blast word\b": "final event",
    r"\bmend(s|ed)?\b": "fix, correct",
    r"\brehearsals?\b": "subset run",
    r"\bghosts?\b": "orphaned engine",
    r"\bladders?\b": "escalation, kill switch",
    r"\brungs?\b": "step",
    r"\ba training step\b(?=[^s])": "per training step",
    r"\bwithout gain\b": "without improvement",
    r"\bnothing fits\b": "no matches",
    r"\bDo what is chosen\b": "Confirm",
    r"\bTurn the order round\b": "Reverse sort order",
    r"\bgoes on by itself\b": "the run continues",
    r"\b(one|a) row a class\b": "one row per class",
    r"\bimages a (training )?step\b": "images per training step",
    r"\bmade whole\b|\bwritten whole\b": "complete, atomic write",
    r"\bliving runs?\b": "live run",
    r"\bcomputed anew\b": "recomputed",
    r"\bequal chance\b|\bchance to skip\b": "probability",
    r"\bcannot be had\b": "is not available",
    r"\} is no (?!longer\b)": "is not a",
    r"\bis trained already(?=,| by)": "is already being trained",
    r"\bdid not take (run|the)\b": "did not accept",
}


def tokens(path: Path) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)


def parts(name: str) -> set[str]:
    """The words of an identifier, in lower case, without a plural's s."""
    words = {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
    return words | {word.removesuffix("s") for word in words}


def test_names_use_the_fields_own_words() -> None:
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 200
    found = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}: write {NAMES[word]}"
        for path in files
        for token in tokens(path)
        if token.type == tokenize.NAME and token.string not in ALLOWED
        for word in sorted(parts(token.string) & set(NAMES))
    ]
    assert found == []


@cache
def texts() -> list[tuple[str, str]]:
    """(where, text): strings of the code, its documents, the golden frames."""
    found = []
    for folder in (*CODE, "recipes"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix == ".py":
                written = [token for token in tokens(path) if token.type in (tokenize.STRING, tokenize.COMMENT)]
                found += [(f"{path.relative_to(ROOT)}:{token.start[0]}", token.string) for token in written]
            elif path.suffix in (".yaml", ".json", ".tcss"):
                found.append((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")))
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tests/console/golden").glob("*.txt")]
    assert len(documents) > 60
    return found + [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in documents]


@pytest.mark.parametrize("phrase", PHRASES)
def test_sentences_use_plain_english(phrase: str) -> None:
    pattern = re.compile(phrase)
    found = [f"{where}: {match[0]!r}" for where, text in texts() if (match := pattern.search(text)) is not None]
    own = [place for place in found if not place.startswith("medtui/actions.py")]  # names of older settings files
    assert own == [], f"write {PHRASES[phrase]}"
