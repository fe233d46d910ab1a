"""The confusion matrix of a run, over the screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from engine.contract.store.run_directory import RunDirectory
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static
from medtui.console.widgets.matrix import confusion_text, read_confusion


class ConfusionDialog(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.run = run

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(confusion_text(read_confusion(self.run), self.app.size.width - 14))

    def action_close(self) -> None:
        self.dismiss(None)
