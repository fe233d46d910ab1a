"""What workers tell the screens. A worker posts one of these and never touches a widget."""

from __future__ import annotations

from textual.message import Message

from medtui.console.status_text import Around


class Woken(Message):
    """An engine said something; there may be a new view."""


class LookedAround(Message):
    """Lock and machine were looked at."""

    def __init__(self, around: Around, holder_run: str | None) -> None:
        super().__init__()
        self.around, self.holder_run = around, holder_run
