"""Keys as a terminal sends them: Esc, and then another key.

A terminal has one byte for Esc, and the same byte before a key for Alt with that key. On a slow link both keys arrive
in one read, and Textual takes them for Alt: the Esc is lost, and of `Esc 2` comes `™`. Nothing here is bound to Alt, so
the two bytes are what they were typed as.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver

ESC = "\x1b"
WORDS = "\x7f\tfb"  # with Alt they delete, go back and move by words, in every field


class Keys(XTermParser):
    """Esc and a key where Textual's has Alt and the key."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        typed = len(sequence) == 2 and sequence[0] == ESC and sequence[1] not in ESC + WORDS
        if alt or (typed and sequence in ANSI_SEQUENCES_KEYS):
            yield events.Key("escape", ESC)
            sequence = sequence[-1]
        yield from super()._sequence_to_key_events(sequence)


class Keyboard(linux_driver.LinuxDriver):
    """Textual's driver, with these keys."""

    def run_input_thread(self) -> None:
        linux_driver.XTermParser = Keys  # type: ignore[misc]  # by this name it makes its parser
        super().run_input_thread()
