"""Numbers, times and JSON as text: what is unknown or undefined is a dash, and nothing is rounded into a lie."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from medtui.text import (
    checked_line,
    data_marks,
    duration,
    interval,
    json_line,
    json_text,
    number,
    shortened,
    started_at,
)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *((None, "–"), (math.nan, "–"), (math.inf, "–"), (-5.0, "0 s"), (0.4, "0 s")),
        *((59.4, "59 s"), (59.6, "1 min 00 s"), (250, "4 min 10 s"), (3599, "59 min 59 s")),
        *((3600, "1 h 00 min"), (7500, "2 h 05 min"), (90_000, "25 h 00 min")),
    ],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.913, "0.9130"), (None, "–"), (math.nan, "–"), (math.inf, "∞"), (-math.inf, "-∞"), (-1.0, "-1.0000")],
)
def test_a_number_is_shown_with_four_digits_and_nothing_for_what_is_undefined(value: float | None, shown: str) -> None:
    assert number(value) == shown
    assert number(0.913, 2) == "0.91"
    assert (interval((0.8712, 0.9486)), interval(None)) == ("0.871–0.949", "–")


@pytest.mark.parametrize(("width", "shown"), [(5, "abcde"), (6, "abcde"), (4, "abc…"), (1, "…"), (0, "…")])
def test_a_text_is_shortened_only_where_it_is_too_long(width: int, shown: str) -> None:
    assert shortened("abcde", width) == shown


def test_a_result_of_less_than_the_real_data_is_marked() -> None:
    assert data_marks(False, None) == []
    assert data_marks(True, None) == ["synthetic data"]
    assert data_marks(False, 0) == ["at most 0 images per split"]
    assert data_marks(True, 1000) == ["synthetic data", "at most 1,000 images per split"]


VALUES: dict[str, Any] = {"a": [1, 0.5, None, True], "b": {"é\x1b\u202e😀\U000e0001": "x\ny"}, "c": (1, 2)}


def test_json_reads_back_as_the_same_values_and_holds_nothing_that_a_terminal_obeys() -> None:
    for text in (json_text(VALUES), json_line(VALUES)):
        assert json.loads(text) == VALUES | {"c": [1, 2]}
        assert all(one.isprintable() or one == "\n" for one in text)
        assert "é" in text and "😀" in text, "only what must be is escaped"
    assert "\n" not in json_line(VALUES)
    assert json_line({"a": [1, 2]}) == '{"a":[1,2]}'
    assert json_text({"a": 1}) == '{\n  "a": 1\n}'


def test_what_json_has_no_number_for_is_a_word_at_any_depth() -> None:
    values = {"a": math.nan, "b": [math.inf, (-math.inf,)], "c": {"d": math.nan}, "e": 1e308}
    expected = {"a": "NaN", "b": ["Infinity", ["-Infinity"]], "c": {"d": "NaN"}, "e": 1e308}
    assert json.loads(json_line(values)) == expected


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[1]", b"5", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":"\xff"}', b"[" * 9999]
)
def test_a_line_that_is_no_json_object_is_none(line: bytes) -> None:
    assert checked_line(line) is None


def test_a_line_of_json_keeps_its_value_and_its_form() -> None:
    line = b' {"b":\t1, "a":\r"\xc2\x9b\\u001b"}\r\n'
    shown = checked_line(line)
    assert shown == '{"b": 1, "a": "\\u009b\\u001b"}'
    assert json.loads(shown) == json.loads(line)


def test_a_time_that_is_none_is_shown_as_it_stands() -> None:
    local = started_at("2026-11-22T23:30:00.000+00:00")
    assert len(local) == len("2026-11-22 23:30") and local.startswith("2026-11-2")
    assert started_at("yesterday\x1b") == "yesterday·"
    assert started_at("x" * 30) == "x" * 20 + "…"
    assert started_at("0001-01-01T00:00:00+14:00") == "0001-01-01T00:00:00+…"
