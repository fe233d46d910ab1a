"""A filter over runs: `dataset:breast lr>=1e-3 auc>0.9 -tag:bad outcome:completed,stopped seed:1 some words`.

A run passes if it satisfies every term. Pure: the same text and run give the same answer, in the console and in
`medtui runs`.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from engine.contract.wire.errors import UsageError
from engine.contract.wire.text import shortened
from medtui.client.run_fields import (
    FILTERED,
    RunField,
    alternative_fields,
    describe_subset,
    field_named,
)
from medtui.client.run_row import RunRow
from medtui.sentences import Filter
from medtui.text import started_at

EXAMPLE = "dataset:breast lr>=1e-3 auc>0.9 -tag:bad"
_WORDS = re.compile(r'(?:[^\s"]|"[^"]*(?:"|$))+')  # a quote that is not closed yet goes to the end
_TERM = re.compile(r"(?P<name>[^\W\d]\w*(\.\w+)?)(?P<sign>>=|<=|!=|[:=<>])(?P<value>.*)", re.DOTALL)
_ALTERNATIVES = re.compile(r'(?:[^,"]|"[^"]*(?:"|$))+')
_UNITS = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600}
_DURATION = re.compile(r"(?P<number>.*?\d\.?)(?P<unit>s|min|m|h|)", re.DOTALL)
_DATE = re.compile(r"\d{1,4}|\d{4}-(\d{0,2}|\d\d-(\d{0,2}|\d\d [\d:]*))")  # or its beginning, as it is typed
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
Test = Callable[[RunRow], bool]


@dataclass(frozen=True)
class RunFilter:
    """The terms of a filter, each as a test."""

    text: str
    terms: tuple[Test, ...] = ()
    settings: tuple[str, ...] = ()  # fields of recipes that the rows must have been given

    def matches(self, run_row: RunRow) -> bool:
        return all(term(run_row) for term in self.terms)

    def of(self, run_rows: Iterable[RunRow]) -> list[RunRow]:
        """Those that pass, in their order."""
        return [run_row for run_row in run_rows if self.matches(run_row)]


NO_FILTER = RunFilter("")


def parse_filter(text: str) -> RunFilter:
    """Raises UsageError for a term that is no filter; the sentence names the term."""
    words = _WORDS.findall(text)
    terms = (_TERM.fullmatch(word.removeprefix("-")) for word in words)
    settings = [term["name"].lower() for term in terms if term is not None and "." in term["name"]]
    return RunFilter(text, tuple(map(_test, words)), tuple(dict.fromkeys(settings)))


def parse_typed(text: str) -> RunFilter:
    """The same while a person types: the word being typed is left out as long as it may become a field's name."""
    *_, typed = _WORDS.findall(text) or [""]
    begun = typed.removeprefix("-").lower()
    may_be_a_name = any(name.startswith(begun) for one in FILTERED for name in one.names)
    return parse_filter(text[: -len(typed)] if typed and text.endswith(typed) and may_be_a_name else text)


def is_term(word: str) -> bool:
    """Is this a term with a field, as `lr>=1e-3` or `-tag:bad`, and not a plain word?"""
    return _TERM.match(word.removeprefix("-")) is not None


def describe_filter() -> str:
    """How a filter is written, and the names it knows, for help."""
    return (
        f"{EXAMPLE} word. A run has to match every term. name:text contains, name=text equals, "
        "name:a,b either; = != < <= > >= for numbers, dates (date>=2026-11-20) and durations (took>10min); a tag as a "
        f"whole; - in front negates; quotes hold spaces. Names: {_names()}."
    )


def describe_names() -> str:
    """The same in two lines or so, for a person who types one."""
    return f"name:part name=all name>=1 name:a,b -not; {_names()}"


def _names() -> str:
    return " ".join(one.names[0] for one in FILTERED)


def searched_text(run_row: RunRow) -> str:
    """What plain words are searched in, in lower case."""
    words = (
        run_row.run,
        run_row.state,
        run_row.dataset or "",
        str(run_row.size or ""),
        describe_subset(run_row),
        run_row.model or "",
        run_row.weights or "",
        *run_row.labels.tags,
        run_row.labels.note,
        *run_row.damage,
    )
    return " ".join(words).lower()


def _test(word: str) -> Test:
    if len(word) > 1 and word[0] == "-":
        positive = _test_of_term(word[1:])
        return lambda run_row: not positive(run_row)
    return _test_of_term(word)


def _test_of_term(word: str) -> Test:
    term = _TERM.fullmatch(word)
    if term is None:
        found = _unquoted(word).lower()
        return lambda run_row: found in searched_text(run_row)
    one = _field(term["name"])
    sign, beginning = term["sign"], f"{term['name']}{term['sign']}"
    values = [_unquoted(value) for value in _ALTERNATIVES.findall(term["value"])]
    if not any(values):
        raise UsageError(Filter.NO_VALUE, term=beginning)
    if sign in _ORDER:
        if len(values) > 1:
            raise UsageError(Filter.SEVERAL, term=beginning, found=shortened(term["value"]))
        return _ordered(one, sign, values[0], beginning)
    tests = [_equal(one, value, beginning, exact=sign != ":") for value in values]
    if sign == "!=":
        return lambda run_row: not any(test(run_row) for test in tests)
    return lambda run_row: any(test(run_row) for test in tests)


def _field(name: str) -> RunField:
    one = field_named(name.lower(), FILTERED)
    if one is None:
        instead = alternative_fields(name, FILTERED)
        raise UsageError(Filter.UNKNOWN_NAME, found=shortened(name), alternatives=instead)
    return one


def _unquoted(text: str) -> str:
    return text.replace('"', "")


def _ordered(one: RunField, sign: str, value: str, beginning: str) -> Test:
    """An unknown value is neither less nor greater than anything."""
    if one.kind == "date":
        return _dated(one, sign, value, beginning)
    if one.kind not in ("number", "duration", "setting"):
        raise UsageError(Filter.NO_ORDER, name=one.names[0], sign=sign)
    limit, order = _number(one, value, beginning), _ORDER[sign]

    def test(run_row: RunRow) -> bool:
        found = one.value(run_row)
        return _is_number(found) and order(found, limit)

    return test


def _dated(one: RunField, sign: str, value: str, beginning: str) -> Test:
    """`2026-11` is the month, `2026-11-20` the day: a time is compared as far as the value goes."""
    _check_date(value, beginning)
    order = _ORDER[sign]

    def test(run_row: RunRow) -> bool:
        found = started_at(one.value(run_row) or "")
        return bool(found) and order(found[: len(value)], value)

    return test


def _check_date(value: str, beginning: str) -> None:
    """Raises UsageError for what is no date, nor the beginning of one."""
    first = "0001-01-01"  # completes what is not typed yet; a month or a day of one digit may become another
    complete = re.fullmatch(r"\d{4}(-\d\d)?(-\d\d)?", value[:10]) is not None
    try:
        if _DATE.fullmatch(value) is None:
            raise ValueError(value)
        if complete:
            date.fromisoformat(value[:10] + first[len(value[:10]) :])
    except ValueError:
        raise UsageError(Filter.DATE, term=beginning, found=shortened(value)) from None


def _equal(one: RunField, value: str, beginning: str, *, exact: bool) -> Test:
    """Does the field have this value, or where not `exact`, contain it? Case does not matter."""
    lower = value.lower()
    match one.kind:
        case "number" | "duration":
            expected = _number(one, value, beginning)
            return lambda run_row: _is_near(one.value(run_row), expected)
        case "yes_no":
            if lower not in _YES_NO:
                raise UsageError(Filter.YES_NO, term=beginning, found=shortened(value))
            return lambda run_row: one.value(run_row) is _YES_NO[lower]
        case "words":
            return lambda run_row: any(word.lower() == lower for word in one.value(run_row))
        case "date":
            if value:  # not yet typed, after a comma
                _check_date(value, beginning)
            return lambda run_row: started_at(one.value(run_row) or "").startswith(value)
        case "setting":
            return lambda run_row: _has_setting(run_row, one, lower, exact=exact)
        case "hash":
            hashes = ("short_hash", "recipe_hash", "resolved_hash")
            return lambda run_row: any((getattr(run_row, name) or "").startswith(lower) for name in hashes)
    if exact:
        return lambda run_row: (one.value(run_row) or "").lower() == lower
    return lambda run_row: lower in (one.value(run_row) or "").lower()


def _has_setting(run_row: RunRow, one: RunField, expected: str, *, exact: bool) -> bool:
    """`expected`: a number, or what a recipe has."""
    found = one.value(run_row)
    if found is None:
        return False
    if _is_number(found):
        with suppress(ValueError):
            return _is_near(found, float(expected))
    text = one.cell(run_row).lower()
    return text == expected if exact else expected in text


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _is_near(found: float | None, expected: float) -> bool:
    """Equal but for the last digits, in which 0.1 + 0.2 differs from 0.3."""
    return found is not None and math.isclose(found, expected, rel_tol=1e-9)


def _number(one: RunField, value: str, beginning: str) -> float:
    parts = _DURATION.fullmatch(value.strip()) if one.kind == "duration" else None
    digits, unit = (parts["number"], parts["unit"]) if parts else (value, "")
    try:
        found = float(digits) * _UNITS[unit]
        if math.isnan(found) or "_" in digits or not digits.isascii():  # all of which `float` takes
            raise ValueError(value)
    except ValueError:
        if one.kind == "duration":
            raise UsageError(Filter.DURATION, term=beginning, found=shortened(value)) from None
        raise UsageError(Filter.NUMBER, term=beginning, found=shortened(value)) from None
    return found
