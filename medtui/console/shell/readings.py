"""Files are read in a thread, one reading per group at a time, and what was read last is shown last.

Threads cannot be cancelled: of two readings side by side, the one that began before a change may end after the one
that saw it, and its old answer would stay on the screen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.app import App
from textual.dom import DOMNode
from textual.message import Message

Read = Callable[[], Message | None]  # called in a thread


class Readings:
    """Of an app, a screen or a widget, which gets the messages; a failure is reported by its screen."""

    def __init__(self, node: DOMNode) -> None:
        self._node = node
        self._asked: dict[str, Read] = {}  # by group: begins as soon as the one under way has ended
        self._under_way: set[str] = set()

    def start(self, group: str, read: Read) -> None:
        """Read, and post what it returns; while the group is being read, once more after that, however often asked."""
        self._asked[group] = read
        if group not in self._under_way:
            self._under_way.add(group)
            owner = self._node if isinstance(self._node, App) else self._node.screen
            owner.run_worker(self._read_asked(group), exit_on_error=False, group=group)

    async def _read_asked(self, group: str) -> None:
        try:
            while (read := self._asked.pop(group, None)) is not None:
                message = await asyncio.to_thread(read)
                if message is not None:
                    self._node.post_message(message)
        except Exception:
            if (read := self._asked.pop(group, None)) is not None:
                self._node.call_later(self.start, group, read)
            raise  # shown by the node
        finally:
            self._under_way.discard(group)
