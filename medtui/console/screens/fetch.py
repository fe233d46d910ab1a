"""The window that asks which data set file to fetch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from engine.contract.data_files import bytes_words, offline
from engine.contract.datasets import DatasetFacts, datasets
from medtui.console.keymap import bindings
from medtui.console.widgets.fetch_panel import Fetchable


@dataclass(frozen=True)
class Wish:
    """What was typed: a file that can be fetched, or what is wrong with it."""

    file: Fetchable | None
    words: str


def wish(name: str, size: str) -> Wish:
    """Pure."""
    if offline():
        return Wish(None, "MEDTUI_OFFLINE is set: nothing is fetched.")
    facts = datasets().get(name.strip().lower())
    if facts is None or facts.synthetic:
        return Wish(None, f"One of {', '.join(official.name for official in _official())}.")
    if not size.strip().isdecimal() or int(size) not in facts.archives:
        return Wish(None, f"{facts.title} comes in {', '.join(map(str, facts.archives))} px.")
    file = Fetchable(facts.name, int(size))
    return Wish(file, f"At most {bytes_words(facts.largest(file.size))}. enter fetches it, esc leaves.")


def _official() -> list[DatasetFacts]:
    return [facts for facts in datasets().values() if not facts.synthetic]


class AskFetch(ModalScreen[Fetchable | None]):
    """Asks for name and size, and says how large the file is."""

    BINDINGS: ClassVar[list[BindingType]] = [binding for binding in bindings("dialog") if "escape" in str(binding)]

    def __init__(self, name: str, size: int) -> None:
        super().__init__()
        self.first = (name, str(size))

    def compose(self) -> ComposeResult:
        name, size = self.first
        with Vertical(id="dialog"):
            yield Static(Text("Fetch the official file of a data set"), markup=False)
            with Horizontal():
                yield Label("name")
                yield Input(name, id="fetch-name", compact=True)
            with Horizontal():
                yield Label("size")
                yield Input(size, id="fetch-size", compact=True)
            yield Static(self._words(name, size), id="fetch-words", markup=False)

    def on_mount(self) -> None:
        self.query_one("#fetch-name", Input).focus()

    def on_input_changed(self) -> None:
        self.query_one("#fetch-words", Static).update(self._words(*self._typed()))

    def on_input_submitted(self) -> None:
        file = wish(*self._typed()).file
        if file is not None:
            self.dismiss(file)

    def action_close(self) -> None:
        self.dismiss(None)

    def _typed(self) -> tuple[str, str]:
        return self.query_one("#fetch-name", Input).value, self.query_one("#fetch-size", Input).value

    def _words(self, name: str, size: str) -> Text:
        found = wish(name, size)
        return Text(found.words, "dim" if found.file else "yellow")
