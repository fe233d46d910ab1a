"""A Textual app that shows one word and imports nothing else: the reference for first paint."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static

PAINTED = "painted"


class Empty(App[None]):
    def compose(self) -> ComposeResult:
        yield Static(PAINTED)


if __name__ == "__main__":
    Empty().run()
