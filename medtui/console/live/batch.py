"""Images of the first training batch as the model sees them, over the screen."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message

from engine.contract.store.run_directory import RunDirectory
from medtui.console.shell.dialogs import Dialog, say_how_to_close
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import border_title
from medtui.console.widgets.pictures import Pictures, Sheet
from medtui.console.widgets.stored_pictures import TrainingBatch, batch_sheet, read_batch

TITLE = "training images as the model sees them"


class BatchRead(Message):
    def __init__(self, batch: TrainingBatch | None) -> None:
        super().__init__()
        self.batch = batch


class BatchDialog(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.run = run

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="pictures-dialog") as pane:
            border_title(pane, TITLE)
            say_how_to_close(self, pane)
            yield Pictures("batch")

    def on_mount(self) -> None:
        self.query_one(Pictures).show(Sheet(before=Text("loading …", "dim")))
        self._read()

    @work(thread=True, exit_on_error=False)
    def _read(self) -> None:
        self.post_message(BatchRead(read_batch(self.run)))

    def on_batch_read(self, message: BatchRead) -> None:
        self.query_one(Pictures).show(batch_sheet(message.batch, Text()))
