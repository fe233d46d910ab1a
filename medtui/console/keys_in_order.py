"""One key after another: each is done with before the next is looked at.

A slow line brings many keys in one read. What the first one does (a field opens, a filter takes the focus, a question
comes) decides what the next means; Textual by itself would hand them all to the widget that has the focus now.
"""

from __future__ import annotations

import asyncio
from collections import deque

from textual import events
from textual.app import App
from textual.driver import Driver

QUIET = 3  # looks in a row, each in another turn of the loop, that find nothing left to do: a task may just have begun
PATIENCE = 500  # looks before a key is believed to be done with, whatever is still going on


class KeysInOrder(App[int]):
    """Keys, pastes and clicks wait in line here."""

    def __init__(self, driver_class: type[Driver]) -> None:
        super().__init__(driver_class=driver_class)
        self._line: deque[events.Event] = deque()
        self._looks: int | None = None  # since the last one was handed on; None when none is being dealt with
        self._quiet = 0

    async def on_event(self, event: events.Event) -> None:
        waits = isinstance(event, events.Key | events.Paste | events.MouseDown | events.MouseUp)
        if not waits or event.is_forwarded:
            await super().on_event(event)
            return
        self._line.append(event)
        if self._looks is None:
            await self._hand_on()

    async def _hand_on(self) -> None:
        self._looks, self._quiet = 0, 0
        await super().on_event(self._line.popleft())
        self.call_later(self._look)

    async def _look(self) -> None:
        """Has everything come to rest that the last key set going?"""
        await asyncio.sleep(0)  # the queue of the app goes on without giving the others a turn
        assert self._looks is not None
        self._looks += 1
        self._quiet = 0 if self._stirs() else self._quiet + 1
        if self._quiet < QUIET and self._looks < PATIENCE:
            self.call_later(self._look)
        elif self._line:
            await self._hand_on()
        else:
            self._looks = None

    def _stirs(self) -> bool:
        """Does a message wait where the key went, or on its way up from there?"""
        inner = self.focused or self.screen
        return any(node.message_queue_size for node in inner.ancestors_with_self)
