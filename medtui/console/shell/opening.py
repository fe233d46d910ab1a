"""The first frame: the layout of Recipes, while its contents are being imported."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen

from medtui.console.shell.base import HORIZONTAL, VERTICAL
from medtui.console.shell.frame import StatusLine
from medtui.console.shell.plain import Static, border_title
from medtui.console.shell.status_text import AppStatus

PANES = (("pane-list", "recipes"), ("pane-form", "form"), ("pane-yaml", "text"), ("pane-before", "before you run"))


class Opening(Screen[None]):
    HORIZONTAL_BREAKPOINTS = HORIZONTAL
    VERTICAL_BREAKPOINTS = VERTICAL

    def compose(self) -> ComposeResult:
        yield StatusLine()
        with Container(id="body"):
            for id_, _ in PANES:
                yield Static("loading …" if id_ == "pane-before" else "", id=id_, classes="pane")

    def on_mount(self) -> None:
        self.query_one(StatusLine).show_status(None, AppStatus())
        for id_, words in PANES:
            border_title(self.query_one(f"#{id_}"), words)
