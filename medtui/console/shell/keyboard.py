"""Keys as a terminal sends them: Esc, and then another key.

A terminal has one byte for Esc, and the same byte before a key for Alt with that key. On a slow link both keys arrive
in one read, and Textual reads them as Alt: the Esc is lost, and of `Esc 2` comes `™`. Nothing here is bound to Alt, so
the two bytes are what they were typed as.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from functools import partial

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver
from textual.geometry import Size
from textual.message import Message

ESC = "\x1b"
LARGEST = (2000, 1000)  # columns, lines of a terminal; what a sequence claims beyond that is nonsense
ESC_KEY = "\x1b[27u"  # as kitty's protocol spells it: whatever follows, it is the key
# Not before [ O ] P ^ _, where a terminal's own sequences begin, nor before b and f, which with Alt move by words
TWO_KEYS = re.compile(r"\x1b(?=[ -~\r])(?![\[O\]P^_bf])")


class Keys(XTermParser):
    """Esc and a key where Textual's has Alt and the key."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._debugs = debug
        self._waits = False  # an ESC was the last to come: what follows tells what it is

    def feed(self, data: str) -> Iterable[Message]:
        joined = TWO_KEYS.sub(ESC_KEY, ESC + data if self._waits else data)
        fed = joined[1:] if self._waits else joined  # an ESC of the read before is with the parser already
        self._waits = data.endswith(ESC)
        return self._sound(lambda: super(Keys, self).feed(fed))

    def tick(self) -> Iterable[Message]:
        found = self._sound(super().tick)
        self._waits = self._waits and not found  # it was the key
        return found

    def _sound(self, read: Callable[[], Iterable[Message]]) -> list[Message]:
        """The messages up to a sequence that is malformed; the parser restarts after it."""
        found: list[Message] = []
        try:
            for message in read():
                found.append(message)  # noqa: PERF402 - what came before the error counts
        except (ValueError, OverflowError):
            self.__init__(self._debugs)  # type: ignore[misc]  # the parser is a generator, which has ended
        return found


class Keyboard(linux_driver.LinuxDriver):
    """Textual's driver, with these keys."""

    def run_input_thread(self) -> None:
        linux_driver.XTermParser = Keys  # type: ignore[misc]  # by this name it makes its parser
        linux_driver.getincrementaldecoder = _lenient  # type: ignore[assignment]
        super().run_input_thread()

    def process_message(self, message: Message) -> None:
        if isinstance(message, events.Resize) and not _is_size(message.size):
            return
        super().process_message(message)


def _is_size(size: Size) -> bool:
    return size.width <= LARGEST[0] and size.height <= LARGEST[1]


def _lenient(encoding: str) -> Callable[[], codecs.IncrementalDecoder]:
    """A byte that is not UTF-8, from a terminal with another encoding, becomes a replacement character."""
    return partial(codecs.getincrementaldecoder(encoding), errors="replace")
