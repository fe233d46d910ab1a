"""Esc and a key that come in one read, as over a slow link, are two keys: Textual would make them one with Alt."""

from __future__ import annotations

import re
from collections.abc import Iterable

from textual._xterm_parser import XTermParser
from textual.message import Message

ESCAPE = "\x1b"
# What follows ESC where it begins a sequence of the terminal ([ O ] P ^ _), or is the Alt key's word-wise editing (b f)
_TWO_KEYS = re.compile(r"\x1b(?=[ -~\r])(?![\[O\]P^_bf])")
_ESCAPE_KEY = "\x1b[27u"  # as kitty's protocol spells it: nothing can be taken for a part of it


class EscapeParser(XTermParser):
    """Textual's parser of what a terminal sends, told which ESC is the key."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._escaped = False  # the last thing that came was ESC

    def feed(self, data: str) -> Iterable[Message]:
        whole = _TWO_KEYS.sub(_ESCAPE_KEY, ESCAPE + data if self._escaped else data)
        if self._escaped:  # the parser has it already
            whole = whole[1:]
        self._escaped = data.endswith(ESCAPE)
        return super().feed(whole)

    def tick(self) -> Iterable[Message]:
        found = list(super().tick())
        if found:
            self._escaped = False  # it was the key
        return found
