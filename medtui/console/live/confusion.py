"""The confusion matrix of a run, over the screen: as text, and where the terminal has graphics, as a figure."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message

from engine.contract.store.run_directory import RunDirectory
from medtui.console.graphics.picture import Picture
from medtui.console.shell.dialogs import Dialog, say_how_to_close
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static
from medtui.console.widgets.matrix import confusion_text, read_confusion
from medtui.console.widgets.pictures import Captioned, Pictures, Sheet
from medtui.console.widgets.stored_pictures import read_figure, room_for


class FigureRead(Message):
    def __init__(self, figure: Picture | None) -> None:
        super().__init__()
        self.figure = figure


class ConfusionDialog(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.run = run

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help") as pane:
            say_how_to_close(self, pane)
            yield Static(confusion_text(read_confusion(self.run), self.app.size.width - 14))
            yield Pictures("confusion-figure")

    def on_mount(self) -> None:
        self._read()

    @work(thread=True, exit_on_error=False)
    def _read(self) -> None:
        self.post_message(FigureRead(read_figure(self.run, "confusion", room_for(self, self.app.size.width - 14))))

    def on_figure_read(self, message: FigureRead) -> None:
        if message.figure is not None:
            self.query_one(Pictures).show(Sheet((Captioned(message.figure),)))
