"""One key after another: each is handled completely before the next.

A slow line brings many keys in one read. What the first one does (a field opens, a filter takes the focus, a question
comes) decides what the next means; Textual by itself would hand them all to the widget that has the focus now.
"""

from __future__ import annotations

import asyncio
from collections import deque

from textual import events
from textual.app import App
from textual.driver import Driver

IDLE_CHECKS = 3  # in a row, each in another turn of the loop, that find nothing left to do: a task may just have begun
MAX_CHECKS = 500  # checks before a key counts as handled, whatever is still running


class KeysInOrder(App[int]):
    """Keys, pastes and clicks wait in a queue here."""

    def __init__(self, driver_class: type[Driver]) -> None:
        super().__init__(driver_class=driver_class)
        self._queue: deque[events.Event] = deque()
        self._checks: int | None = None  # since the last one was handed on; None when none is being dealt with
        self._idle_checks = 0

    async def on_event(self, event: events.Event) -> None:
        waits = isinstance(event, events.Key | events.Paste | events.MouseDown | events.MouseUp)
        if not waits or event.is_forwarded:
            await super().on_event(event)
            return
        self._queue.append(event)
        if self._checks is None:
            await self._dispatch_next()

    async def _dispatch_next(self) -> None:
        self._checks, self._idle_checks = 0, 0
        await super().on_event(self._queue.popleft())
        self.call_later(self._check_idle)

    async def _check_idle(self) -> None:
        """Is everything done that the last key started?"""
        await asyncio.sleep(0)  # the queue of the app goes on without giving the others a turn
        assert self._checks is not None
        self._checks += 1
        self._idle_checks = 0 if self._is_busy() else self._idle_checks + 1
        if self._idle_checks < IDLE_CHECKS and self._checks < MAX_CHECKS:
            self.call_later(self._check_idle)
        elif self._queue:
            await self._dispatch_next()
        else:
            self._checks = None

    def _is_busy(self) -> bool:
        """Does a message wait where the key went, or on its way up from there?"""
        inner = self.focused or self.screen
        return any(node.message_queue_size for node in inner.ancestors_with_self)
