"""One question at a time: one that is ready to be asked while another dialog is open waits until that is closed.

A key answers what a person reads. A question that came up over another dialog, as when a folder's size was counted
first, would take the key that was meant for it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from textual.app import App
from textual.await_complete import AwaitComplete
from textual.command import CommandPalette
from textual.driver import Driver
from textual.screen import Screen
from textual.worker import get_current_worker

from medtui.console.shell.dialogs import Dialog
from medtui.console.shell.keys_in_order import KeysInOrder


class OneQuestion(KeysInOrder):
    def __init__(self, driver_class: type[Driver]) -> None:
        super().__init__(driver_class=driver_class)
        self._asking = asyncio.Lock()
        self._popped = asyncio.Event()  # a screen, since a question began to wait

    async def push_screen_wait(self, screen: Screen[Any] | str, *, mode: str | None = None) -> Any:
        """Ask. A dialog may itself ask something, above it; a screen that is no dialog keeps no question waiting."""
        if not isinstance(screen, Dialog) or self._is_asked_by_dialog():
            return await super().push_screen_wait(screen, mode=mode)
        async with self._asking:
            while self.has_dialog:
                self._popped.clear()
                await self._popped.wait()
            return await super().push_screen_wait(screen, mode=mode)

    def pop_screen(self) -> AwaitComplete:
        popped = super().pop_screen()
        self._popped.set()
        return popped

    @property
    def has_dialog(self) -> bool:
        """Is a dialog or the palette on top? The keys are its keys."""
        return isinstance(self.screen, Dialog | CommandPalette)

    def _is_asked_by_dialog(self) -> bool:
        node = get_current_worker().node
        return not isinstance(node, App) and isinstance(node.screen, Dialog)
