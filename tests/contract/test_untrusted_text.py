"""Untrusted text is one line of what a terminal only shows."""

from __future__ import annotations

import unicodedata

import pytest

from engine.contract.wire.text import clean, replaced, visible

# All up to Hiragana; then a surrogate, private, joined and unassigned ones, a mark of byte order, and a face
CHARACTERS = [*range(0x3040), 0xD800, 0xE000, 0xFEFF, 0xFFF9, 0x1F600, 0xE0001, 0x10FFFF]
OBEYED = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # Unicode's categories: controls, formats, surrogates, ...


def test_every_character_is_shown_as_it_is_or_is_a_dot_by_its_unicode_category() -> None:
    for one in map(chr, CHARACTERS):
        assert visible(one) == ("·" if unicodedata.category(one) in OBEYED else one), hex(ord(one))


def test_the_rest_of_a_line_stays_and_every_character_has_its_own_place() -> None:
    assert visible("a\x1b[31mb\u202e\xa0c\n") == "a·[31mb·\xa0c·"
    assert visible("a\tb\nc", "\t") == "a\tb·c"
    assert visible("a\tb", "\t") == "a\tb"
    assert replaced("a\x00b\xa0", lambda one: f"<{ord(one)}>") == "a<0>b\xa0"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("abcd", "abcd"), ("abcde", "abcd…"), ("ab\ncde", "ab·c…"), ("abc\x07", "abc·")],
)
def test_a_long_text_is_cut_and_ends_with_an_ellipsis(text: str, shown: str) -> None:
    assert clean(text, 4) == shown
