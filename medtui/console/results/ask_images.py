"""The dialog that asks which images to predict: a file, a folder or a pattern, completed while it is typed."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.suggester import Suggester
from textual.widgets import Input

from engine.contract.files.folders import Folder
from engine.contract.files.paths import expanded, path_status
from medtui.console.shell.app_context import key_of
from medtui.console.shell.dialogs import Dialog
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static
from medtui.text import clean

MOST_NAMES = 20_000  # in a folder that is searched


class AskImages(Dialog[str]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog", "dialog.close")

    def __init__(self, run: str, value: str) -> None:
        """`value`: what was asked for the last time."""
        super().__init__()
        self.run_name, self.value = clean(run), value

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Text(f"Predict images with the model of {self.run_name}"))
            yield Input(
                self.value,
                placeholder="a file, a folder, a pattern, or several in quotes",
                suggester=PathSuggester(),
                compact=True,
                select_on_focus=True,
            )
            close = key_of(self, "dialog.close")
            yield Static(Text(f"→ completes, enter predicts, {close} cancels", "dim"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.dismiss(event.value.strip())


class PathSuggester(Suggester):
    """The first name in the folder that begins as what is typed."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(completed, value)


def completed(typed: str) -> str | None:
    """A path that begins as `typed`, with a slash after a folder; None where there is none."""
    head, _, begun = typed.rpartition("/")
    folder = expanded(head) if head or typed.startswith("/") else Path()
    if typed.startswith("/") and not head:
        folder = Path("/")
    if not begun:
        return None
    try:
        names = Folder(folder).itself.names()
    except OSError:
        return None
    found = min((name for name in names[:MOST_NAMES] if name.startswith(begun) and name.isprintable()), default=None)
    if found is None:
        return None
    path = typed + found[len(begun) :]
    return f"{path}/" if path_status(folder / found).is_folder else path


def words_of(text: str) -> list[str]:
    """The images that were asked for: one path as it is, or several words as a shell reads them."""
    if path_status(expanded(text)).is_there:
        return [text]
    try:
        return shlex.split(text) or [text]
    except ValueError:  # a quote that is not closed: part of a name
        return [text]
