"""The list of recipes, in groups, with its filter, and a mark on those that have unsaved edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from medtui.console.recipes.choices import Available, read_available
from medtui.console.recipes.document import Entry, Mark
from medtui.console.recipes.open_recipes import OpenRecipes
from medtui.console.recipes.store import entries, left_drafts
from medtui.console.shell.app_context import context_of
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Option, OptionList
from medtui.console.shell.readings import Readings
from medtui.text import clean, shortened

_GROUPS = (("shipped", "recipes"), ("workspace", "in this workspace"), ("run", "from runs"))
_MARKS: dict[Mark, str] = {"edited": "● edited", "draft": "○ draft"}


class RecipeList(OptionList):
    BINDINGS: ClassVar[list[BindingType]] = bindings("list")

    def __init__(self, id: str) -> None:
        super().__init__(id=id, compact=True)
        self._entries: Sequence[Entry] = ()
        self._marks: Mapping[str, Mark] = {}
        self._current: str | None = None

    def fill(self, found: Sequence[Entry], marks: Mapping[str, Mark], current: str | None) -> None:
        """Show these; `marks` and `current` by the keys of entries. Sends no highlight event.

        The cursor stays on its recipe: keys may be on their way that move it on. Where that is gone, it goes to the
        current one.
        """
        before = self.highlighted_option.id if self.highlighted_option is not None else None
        self._entries, self._marks, self._current = found, marks, current
        rows: list[Option] = []
        for kind, title in _GROUPS:
            if of_kind := [entry for entry in found if entry.kind == kind]:
                rows.append(Option(Text(title, style="dim"), disabled=True))
                rows += [Option(self._row(entry), id=entry.key) for entry in of_kind]
        if not rows:
            rows = [Option(Text(" no matches"), disabled=True)]
        with self.prevent(OptionList.OptionHighlighted):
            if [row.id for row in rows] == [option.id for option in self.options]:
                for number, row in enumerate(rows):  # the same recipes: cursor and scroll stay
                    self.replace_option_prompt_at_index(number, row.prompt)
            else:
                self.clear_options()
                self.add_options(rows)
                keys = [row.id for row in rows]
                stays = before if before in keys and before is not None else current
                self.highlighted = keys.index(stays) if stays in keys and stays is not None else None
        self.call_after_refresh(self.scroll_to_highlight)  # once the list has its height

    def go_to(self, key: str) -> bool:
        """Put the cursor on a recipe, without an event. False when it is not listed."""
        keys = [option.id for option in self.options]
        if key in keys:
            with self.prevent(OptionList.OptionHighlighted):
                self.highlighted = keys.index(key)
        return key in keys

    def on_resize(self) -> None:
        if self._entries:  # names are as long as there is room
            self.fill(self._entries, self._marks, self._current)

    def choose_one(self) -> None:
        """Take the focus, and highlight the first recipe unless one is highlighted."""
        self.focus()
        if self.highlighted is None:
            self.action_first()

    def _row(self, entry: Entry) -> Text:
        """A run by its hash first: its date would hide what distinguishes it from others."""
        words = entry.name
        parts = words.split("_", 3)
        if entry.kind == "run" and len(parts) == 4:
            words = f"{parts[3]} {parts[1]} {parts[2]}"
        mark = f" {_MARKS[self._marks[entry.key]]}" if entry.key in self._marks else ""
        room = max(8, self.size.width - 1 - len(mark))
        return Text(f"{'▸' if entry.key == self._current else ' '}{shortened(clean(words, 200), room)}{mark}")


class RecipesPane(Vertical):
    """The list and its filter."""

    class Highlighted(Message):
        """The cursor moved to another recipe."""

        def __init__(self, entry: Entry) -> None:
            super().__init__()
            self.entry = entry

    class Listed(Message):
        """What was found: recipes, those of them that have drafts, and what there is to choose among."""

        def __init__(self, found: list[Entry], drafts: set[str], available: Available) -> None:
            super().__init__()
            self.found, self.drafts, self.available = found, drafts, available

    def __init__(self, recipes: OpenRecipes, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self._recipes = recipes
        self._readings = Readings(self)
        self.entries: list[Entry] = []
        self._drafts: set[str] = set()  # keys of recipes that have edits of an earlier console
        self._shown: object = None
        self._follow = False  # has the cursor to go to the current one, once it is listed?

    def compose(self) -> ComposeResult:
        yield Input(placeholder="/ filter", id="recipe-filter", compact=True)
        yield RecipeList(id="recipe-list")

    def look(self) -> None:
        """List them once more: recipes and runs may come from other shells, too."""
        self._readings.start("list", self._look)

    def _look(self) -> Listed:
        context = context_of(self)
        found = entries(context.workspace, self._recipes.drafts)
        drafts = left_drafts(found, self._recipes.drafts)
        return self.Listed(found, drafts, read_available(context.workspace, context.data))

    def on_recipes_pane_listed(self, message: Listed) -> None:
        self.entries, self._drafts = message.found, message.drafts
        self.show()

    def show(self) -> None:
        """The recipes with their marks; the list stays as it is where nothing of that changed."""
        if (self.entries, self._marks, self._current) != self._shown:
            self._shown = (self.entries, self._marks, self._current)
            self._fill()

    @property
    def _marks(self) -> dict[str, Mark]:
        marks: dict[str, Mark] = dict.fromkeys(self._drafts - self._recipes.documents.keys(), "draft")
        return marks | dict.fromkeys(self._recipes.dirty, "edited")

    @property
    def _current(self) -> str | None:
        return self._recipes.current.entry.key if self._recipes.current is not None else None

    def follow(self) -> None:
        """The current recipe was not chosen in the list: the cursor goes to it, as soon as it is listed."""
        self._follow = True
        self._fill()

    def _fill(self) -> None:
        words = self.query_one(Input).value.strip().lower()
        found = [entry for entry in self.entries if words in entry.name.lower()]
        shown = self.query_one(RecipeList)
        shown.fill(found, self._marks, self._current)
        if self._follow and self._current is not None and shown.go_to(self._current):
            self._follow = False

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        entry = next((entry for entry in self.entries if entry.key == event.option_id), None)
        if entry is not None:
            self._follow = False
            self.post_message(self.Highlighted(entry))

    @on(Input.Changed)
    def _filtered(self) -> None:
        self._fill()

    @on(Input.Submitted)
    def _filter_done(self) -> None:
        self.query_one(RecipeList).choose_one()
