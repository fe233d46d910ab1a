"""The list of recipes, in groups, with a mark on those that have unsaved edits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets.option_list import OptionDoesNotExist

from medtui.console.recipes.document import Entry
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Option, OptionList
from medtui.text import clean, shortened

MARKED = 18  # columns of a name with a mark behind it
_GROUPS = (("shipped", "recipes"), ("workspace", "in this workspace"), ("run", "from runs"))


class RecipeList(OptionList):
    BINDINGS: ClassVar[list[BindingType]] = bindings("list")

    def fill(self, entries: Sequence[Entry], dirty: set[str], current: str | None) -> None:
        """Show these; `dirty` and `current` are keys of entries. Sends no highlight event."""
        rows: list[Option] = []
        for kind, title in _GROUPS:
            if found := [entry for entry in entries if entry.kind == kind]:
                rows.append(Option(Text(title, style="dim"), disabled=True))
                rows += [Option(_row(entry, entry.key in dirty), id=entry.key) for entry in found]
        if not rows:
            rows = [Option(Text(" no matches"), disabled=True)]
        with self.prevent(OptionList.OptionHighlighted):
            self.clear_options()
            self.add_options(rows)
            for number, option in enumerate(rows):
                if option.id == current and current is not None:
                    self.highlighted = number

    def choose_one(self) -> None:
        """Take the focus, and highlight the first recipe unless one is highlighted."""
        self.focus()
        if self.highlighted is None:
            self.action_first()

    def mark(self, entry: Entry, dirty: bool) -> None:
        """Whether an entry has unsaved edits; one that is filtered away is passed over."""
        try:
            self.replace_option_prompt(entry.key, _row(entry, dirty))
        except OptionDoesNotExist:
            return


def _row(entry: Entry, dirty: bool) -> Text:
    """A run by its hash first: its date would hide what distinguishes it from others."""
    words = entry.name
    parts = words.split("_", 3)
    if entry.kind == "run" and len(parts) == 4:
        words = f"{parts[3]} {parts[1]} {parts[2]}"
    words = clean(words, 80)
    return Text(f" {shortened(words, MARKED)} ●" if dirty else f" {words}")
