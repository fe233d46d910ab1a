"""The dialog that asks which data set file to fetch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from engine.contract.data.archives import offline
from engine.contract.recipe.sources import official_sets
from engine.contract.wire.text import format_bytes
from medtui.console.shell.app_context import key_of
from medtui.console.shell.dialogs import Dialog
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Label, Static
from medtui.console.widgets.fetch_panel import Fetchable


@dataclass(frozen=True)
class FetchRequest:
    """The request as typed: a file that can be fetched, or the problem."""

    file: Fetchable | None
    words: str


def requested_file(name: str, size: str) -> FetchRequest:
    """Pure."""
    if offline():
        return FetchRequest(None, "Offline, nothing is fetched.")
    sets = {facts.name: facts for facts in official_sets()}
    facts = sets.get(name.strip().lower())
    if facts is None:
        return FetchRequest(None, f"Choose one of {', '.join(sets)}.")
    if not size.strip().isdecimal() or int(size) not in facts.archives:
        return FetchRequest(None, f"{facts.title} is available at {', '.join(map(str, facts.archives))} px.")
    file = Fetchable(facts.name, int(size))
    return FetchRequest(file, f"At most {format_bytes(facts.largest(file.size))}.")


class AskFetch(Dialog[Fetchable]):
    """Asks for name and size, and shows the size of the file."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog", "dialog.close")

    def __init__(self, name: str, size: int) -> None:
        super().__init__()
        self.first = (name, str(size))

    def compose(self) -> ComposeResult:
        name, size = self.first
        with Vertical(id="dialog"):
            yield Static(Text("Fetch an official data set file"))
            with Horizontal():
                yield Label("name")
                yield Input(name, id="fetch-name", compact=True)
            with Horizontal():
                yield Label("size")
                yield Input(size, id="fetch-size", compact=True)
            yield Static(self._hint_for(name, size), id="fetch-words")

    def on_mount(self) -> None:
        self.query_one("#fetch-name", Input).focus()

    def on_input_changed(self) -> None:
        self.query_one("#fetch-words", Static).update(self._hint_for(*self._typed()))

    def on_input_submitted(self) -> None:
        file = requested_file(*self._typed()).file
        if file is not None:
            self.dismiss(file)

    def _typed(self) -> tuple[str, str]:
        return self.query_one("#fetch-name", Input).value, self.query_one("#fetch-size", Input).value

    def _hint_for(self, name: str, size: str) -> Text:
        found = requested_file(name, size)
        if found.file is None:
            return Text(found.words, "yellow")
        close = key_of(self, "dialog.close")
        return Text(f"{found.words} enter fetches it, {close} cancels.", "dim")
