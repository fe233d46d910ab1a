"""Text that fills its place, a row a line. Only rows that changed are drawn and sent, and nothing is laid out anew."""

from __future__ import annotations

from itertools import zip_longest

from rich.text import Text
from textual.geometry import Region
from textual.widget import Widget


class Rows(Widget):
    """For what changes several times a second; a `Static` would lay the whole screen out each time."""

    def __init__(self, id: str | None = None, *, can_focus: bool = False) -> None:
        super().__init__(id=id)
        self.can_focus = can_focus
        self._rows: list[Text] = []
        self._text = Text()

    def update(self, text: Text) -> None:
        """Show this text from now on."""
        before = self._rows
        self.keep(text)
        changed = [at for at, (old, new) in enumerate(zip_longest(before, self._rows)) if old is None or old != new]
        if changed:
            self.refresh(*(Region(0, at, self.size.width, 1) for at in changed))

    def keep(self, text: Text) -> None:
        """Without asking to be drawn: for one who is being drawn."""
        self._rows, self._text = list(text.split("\n", allow_blank=True)), text

    def render(self) -> Text:
        return self._text
