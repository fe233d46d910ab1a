"""Results: what was trained here."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from medtui.console.keymap import bindings
from medtui.console.screens.room import Room


class Results(Room):
    ROOM = "results"
    PANES = (("pane-runs", "runs"), ("pane-detail", "detail"))
    BINDINGS: ClassVar[list[BindingType]] = bindings("results")

    def compose_body(self) -> ComposeResult:
        for id_, _ in self.PANES:
            with VerticalScroll(id=id_, classes="pane"):
                yield Static()
