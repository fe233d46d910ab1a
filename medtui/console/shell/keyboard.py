"""Keys as a terminal sends them: Esc, and then another key; and what else comes with them, its answers.

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

from medtui.console.graphics.terminal import Answers
from medtui.console.shell.painted import PaintedPictures, TerminalAnswered
from medtui.console.shell.styling import with_fewer_bytes

ESC = "\x1b"
LARGEST = (2000, 1000)  # columns, lines of a terminal; what a sequence claims beyond that is nonsense
ESC_KEY = "\x1b[27u"  # as kitty's protocol spells it: whatever follows, it is the key
# Not before [ O ] P ^ _, where a terminal's own sequences begin, nor before b and f, which with Alt move by words
TWO_KEYS = re.compile(r"\x1b(?=[ -~\r])(?![\[O\]P^_bf])")


class Keys(XTermParser):
    """Esc and a key where Textual's has Alt and the key; a message where the terminal has answered a question."""

    def __init__(self, debug: bool = False, *, answers: bool = False) -> None:
        """`answers`: are some expected?"""
        super().__init__(debug)
        self._debugs = debug
        self._waits = False  # an ESC was the last to come: what follows tells what it is
        self._answers = Answers(expected=answers)

    def feed(self, data: str) -> Iterable[Message]:
        if not data:  # the end
            return self._sound(lambda: super(Keys, self).feed(data))
        before = self._answers.terminal
        typed = self._answers.without(data)
        found = self._typed(typed) if typed else []
        after = self._answers.terminal
        return found if after == before else [TerminalAnswered(after), *found]

    def _typed(self, data: str) -> list[Message]:
        joined = TWO_KEYS.sub(ESC_KEY, ESC + data if self._waits else data)
        fed = joined[1:] if self._waits else joined  # an ESC of the read before is with the parser already
        self._waits = data.endswith(ESC)
        return self._sound(lambda: super(Keys, self).feed(fed))

    def tick(self) -> Iterable[Message]:
        released = self._answers.released()
        found = self._typed(released) if released else []
        if not released:
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
            answers = self._answers
            self.__init__(self._debugs)  # type: ignore[misc]  # the parser is a generator, which has ended
            self._answers = answers
        return found


class Keyboard(linux_driver.LinuxDriver):
    """Textual's driver, with these keys, fewer bytes to the terminal, and questions to it at the start."""

    def write(self, data: str) -> None:
        super().write(with_fewer_bytes(data))

    @property
    def _queries(self) -> str:
        app = self._app
        return app.queries if isinstance(app, PaintedPictures) and self.input_tty else ""

    def start_application_mode(self) -> None:
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if self._writer_thread is not None and self._queries:
            self.write(self._queries)
            self.flush()

    def run_input_thread(self) -> None:
        parser = partial(Keys, answers=bool(self._queries))
        linux_driver.XTermParser = parser  # type: ignore[misc, assignment]  # by this name it makes its parser
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
