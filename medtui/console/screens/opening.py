"""The first picture: the frame of Recipes, while what fills it is being imported."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import Static

from medtui.console.screens.room import HORIZONTAL, VERTICAL
from medtui.console.status_text import UNKNOWN, Around
from medtui.console.widgets.frame import StatusLine

PANES = (("pane-list", "recipes"), ("pane-form", "form"), ("pane-yaml", "text"), ("pane-before", "before you run"))


class Opening(Screen[None]):
    HORIZONTAL_BREAKPOINTS = HORIZONTAL
    VERTICAL_BREAKPOINTS = VERTICAL

    def compose(self) -> ComposeResult:
        yield StatusLine()
        with Container(id="body"):
            for id_, _ in PANES:
                yield Static("reading …" if id_ == "pane-before" else "", id=id_, classes="pane")

    def on_mount(self) -> None:
        self.query_one(StatusLine).say(None, Around(lock=UNKNOWN))
        for id_, title in PANES:
            self.query_one(f"#{id_}").border_title = title
