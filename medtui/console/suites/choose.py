"""Which suite's file to start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from medtui.console.shell.dialogs import Dialog
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Option, OptionList, Static
from medtui.console.widgets.choice_list import ChoiceList
from medtui.text import clean


class ChooseSuite(Dialog[str]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, files: Sequence[Path], root: Path) -> None:
        super().__init__()
        self.files, self.root = files, root

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Text("Start which suite? You see its runs before anything starts."))
            yield ChoiceList(*(Option(Text(clean(str(file.relative_to(self.root)), 200))) for file in self.files))

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(str(self.files[event.option_index]))
