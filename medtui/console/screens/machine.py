"""Machine: hardware, who holds the workspace, diagnostics."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from medtui.console.keymap import bindings
from medtui.console.screens.room import Room


class Machine(Room):
    ROOM = "machine"
    PANES = (("pane-hardware", "hardware"), ("pane-lock", "workspace"), ("pane-checks", "diagnostics"))
    BINDINGS: ClassVar[list[BindingType]] = bindings("machine")

    def compose_body(self) -> ComposeResult:
        for id_, _ in self.PANES:
            with VerticalScroll(id=id_, classes="pane"):
                yield Static()
