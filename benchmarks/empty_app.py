"""A Textual app with nothing in it but a word, which imports nothing else: what first paint is held to."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static

PAINTED = "painted"


class Empty(App[None]):
    def compose(self) -> ComposeResult:
        yield Static(PAINTED)


if __name__ == "__main__":
    Empty().run()
