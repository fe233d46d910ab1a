"""Text that fills its area, one row per line. Only changed rows are drawn and sent, without a new layout."""

from __future__ import annotations

from itertools import zip_longest

from rich.text import Text
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget


class Rows(Widget):
    """For text that changes several times per second; a `Static` would lay out the complete screen each time."""

    # Text that was made for a wider area would take more rows than it has lines, until the next update
    DEFAULT_CSS = "Rows { text-wrap: nowrap; text-overflow: clip; }"

    class Resized(Message):
        """The size differs from the one its text was made for, or is the first."""

        def __init__(self, rows: Rows) -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> Rows:
            return self.rows

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
        """Without requesting a redraw: for a widget that is being drawn."""
        self._rows, self._text = list(text.split("\n", allow_blank=True)), text

    def on_resize(self) -> None:
        self.post_message(self.Resized(self))

    def render(self) -> Text:
        return self._text
