"""Keys count as they were typed, and in that order, however many come at once: over a slow link, from a script.

Textual hands a key to the widget that has the focus at that moment, and the widget acts on it later. Of keys that come
in one read, all would go to the widget that has the focus before the first of them moves it: `/` and what is to be
looked for would be keys of the list, and one of them trains. So the next key waits until what the one before did is
done.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Iterable

from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.driver import Driver
from textual.message import Message
from textual.message_pump import MessagePump

ROUNDS = 6  # at most; a key that opens a dialog takes three
PATIENCE = 2.0  # seconds for one round; a widget that hangs must not keep the keys from the others


ESCAPE = "\x1b"
# What follows ESC where it begins a sequence of the terminal ([ O ] P ^ _), or is the Alt key's word-wise editing (b f)
_TWO_KEYS = re.compile(r"\x1b(?=[ -~\r])(?![\[O\]P^_bf])")
_ESCAPE_KEY = "\x1b[27u"  # as kitty's protocol spells it: nothing can be taken for a part of it


class EscapeParser(XTermParser):
    """Esc and a key that come together, as over a slow link, are two keys: Textual would make them one with Alt."""

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


class TypedApp(App[int]):
    """An app that takes keys and pastes one after another."""

    def get_driver_class(self) -> type[Driver]:
        from textual.drivers import linux_driver

        linux_driver.XTermParser = EscapeParser  # type: ignore[misc]  # the driver has no other way to be given one
        return super().get_driver_class()

    def __init__(self) -> None:
        super().__init__()
        self._typed: deque[events.Event] = deque()
        self._handed_on: events.Event | None = None
        self._hands_on: asyncio.Task[None] | None = None

    async def on_event(self, event: events.Event) -> None:
        new = isinstance(event, events.Key | events.Paste) and not event.is_forwarded and event is not self._handed_on
        if not new:
            await super().on_event(event)
            return
        self._typed.append(event)
        if self._hands_on is None:
            self._hands_on = asyncio.create_task(self._hand_on(), name="keys")

    async def _hand_on(self) -> None:
        try:
            while self._typed:
                self._handed_on = self._typed.popleft()
                self.post_message(self._handed_on)
                await self._settled()
        finally:
            self._hands_on = self._handed_on = None

    async def _settled(self) -> None:
        """Until every widget that the key can have reached is done with it, and with what came of it.

        A key goes from the widget with the focus up to the app; what it causes is a message that goes the same way.
        When a whole round of that way moves the focus no more, the next key is the next widget's.
        """
        before: object = None
        for _ in range(ROUNDS):
            now = self.focused or self.screen
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_passed((self, *now.ancestors_with_self)), PATIENCE)
            if now is before:
                return
            before = now


async def _passed(way: Iterable[MessagePump]) -> None:
    """Until each of these, one after the other, has done what it was told before."""
    for one in way:
        done = asyncio.Event()
        if one.call_later(done.set):
            await done.wait()
