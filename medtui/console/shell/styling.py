"""Fewer bytes to the terminal for the same picture: of colours and styles, only what changes is said.

Textual says every colour of every run of cells, and resets them after it. Over a slow link that is most of what a
living screen sends. https://ecma-international.org/publications-and-standards/standards/ecma-48/, 8.3.117.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

_SGR = re.compile(r"(\x1b\[[0-9;]*m)")
_ENDS = {1: 22, 2: 22, 3: 23, 4: 24, 5: 25, 7: 27, 8: 28, 9: 29}  # what ends a style
_COLOURS = {"38": 0, "48": 1}


@dataclass(frozen=True)
class Style:
    """How the next characters are drawn."""

    foreground: str = "39"  # as the sequence says it; the terminal's own
    background: str = "49"
    styles: frozenset[int] = frozenset()


class _NotKnown(Exception):
    """A sequence that means something else than is known here."""


def with_fewer_bytes(data: str) -> str:
    """The same characters in the same places, colours and styles.

    data: begins with the terminal's own style, as each of Textual's updates does and leaves it.
    """
    if "\x1b[" not in data:
        return data
    parts = _SGR.split(data)
    sent: Style | None = None  # None: whatever it was before
    requested: Style | None = None
    out = []
    try:
        for index, part in enumerate(parts):
            if index % 2:
                requested = _after(requested or Style(), part)
            elif part:
                if requested is not None and requested != sent:
                    out.append(_change(sent, requested))
                    sent = requested
                out.append(part)
    except _NotKnown:
        return data
    if requested is not None and requested != sent:
        out.append(_change(sent, requested))
    return "".join(out)


@lru_cache(4096)
def _after(style: Style, sequence: str) -> Style:
    """Raises _NotKnown."""
    words = sequence[2:-1].split(";")
    at = 0
    while at < len(words):
        word = words[at] or "0"
        code = int(word)
        if code == 0:
            style = Style()
        elif word in _COLOURS:
            length = {"2": 5, "5": 3}.get(words[at + 1] if at + 1 < len(words) else "", 0)
            if not length or at + length > len(words):
                raise _NotKnown
            style = _coloured(style, ";".join(words[at : at + length]), foreground=word == "38")
            at += length - 1
        elif 30 <= code <= 39 or 90 <= code <= 97:
            style = _coloured(style, word, foreground=True)
        elif 40 <= code <= 49 or 100 <= code <= 107:
            style = _coloured(style, word, foreground=False)
        elif code in _ENDS:
            style = replace(style, styles=style.styles | {code})
        elif code in _ENDS.values():
            style = replace(style, styles=frozenset(one for one in style.styles if _ENDS[one] != code))
        else:
            raise _NotKnown
        at += 1
    return style


def _coloured(style: Style, said: str, *, foreground: bool) -> Style:
    return replace(style, foreground=said) if foreground else replace(style, background=said)


@lru_cache(4096)
def _change(before: Style | None, after: Style) -> str:
    """The shortest sequence that turns one into the other."""
    anew = _sequence(["0", *_said(Style(), after)])
    return anew if before is None else min(_sequence(_said(before, after)), anew, key=len)


def _said(before: Style, after: Style) -> list[str]:
    ended = {_ENDS[one] for one in before.styles - after.styles}
    kept = {one for one in before.styles & after.styles if _ENDS[one] not in ended}
    words = [str(code) for code in sorted(ended)] + [str(code) for code in sorted(after.styles - kept)]
    if after.foreground != before.foreground:
        words.append(after.foreground)
    if after.background != before.background:
        words.append(after.background)
    return words


def _sequence(words: list[str]) -> str:
    return f"\x1b[{';'.join(words)}m" if words else ""
