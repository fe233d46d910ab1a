"""The lines of the form: one for each field, and one above each section, which folds its rarely used fields away."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from rich.style import Style
from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

from engine.contract.recipe.schema import FieldSpec
from engine.contract.recipe.yaml_reader import written
from medtui.client.recipe_document import Checked
from medtui.console.recipes.choices import is_choice
from medtui.text import UNDEFINED, clean, shortened

SINGULAR = {"epochs": "epoch", "images": "image", "batches": "batch"}  # units of a value of 1
TITLE_WIDTH = 23  # the longest title, and a space
VALUE_WIDTH = 15
NUMBER_WIDTH = 12  # of a number that is typed, with its signs behind it
INDENT = 3  # columns before the title


class Line(Widget):
    """What the form's cursor can stand on."""

    class Clicked(Message):
        def __init__(self, line: Line) -> None:
            super().__init__()
            self.line = line

    chosen = False

    def on_click(self, event: events.Click) -> None:
        if "@click" not in event.style.meta:
            self.post_message(self.Clicked(self))

    def choose(self, chosen: bool) -> None:
        if chosen != self.chosen:
            self.chosen = chosen
            self.set_class(chosen, "-chosen")
            self.refresh()


class FieldRow(Line):
    """One field: title, value, unit or note, and below them what is wrong with it."""

    class Resized(Message):
        """It has another height, at the cursor."""

    class Nudged(Message):
        """The next larger or smaller value was clicked."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__(id=f"field-{spec.section}-{spec.name}")
        self.spec = spec
        self.value = ""
        self.edited = False
        self.at_cursor = False  # the form's cursor is here, even while something else has the focus
        self.differs = False  # from the default
        self.is_unread = False  # by the source of images that the recipe names
        self.problem = ""
        self.note = ""  # what is known of the value
        self._written = False
        self._writes = True  # is the problem written out here?

    @property
    def is_choice(self) -> bool:
        return is_choice(self.spec)

    @property
    def is_number(self) -> bool:
        return any(variant.get("type") in ("number", "integer") for variant in self.spec.variants)

    @property
    def is_noticed(self) -> bool:
        """Is it written in the recipe, or wrong?"""
        return self._written or bool(self.problem)

    def show(self, checked: Checked, note: str = "") -> None:
        value = checked.value(self.spec)
        path = (self.spec.section, self.spec.name)
        text = value if isinstance(value, str) else written(value) if _is_scalar(value) else "…"
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = checked.texts.get(path, text)  # `1e-3` stays `1e-3`
        if not checked.readable:
            text = UNDEFINED  # a default would look like the recipe's
        problem = checked.problem(path)
        found = clean(problem.message, 300) if problem else ""
        shown = (clean(text, 200), checked.is_written(self.spec), found, note)
        if shown != (self.value, self._written, self.problem, self.note):
            self.value, self._written, self.problem, self.note = shown
            self.differs = checked.readable and value != self.spec.default
            self._resize()

    def write_problems(self, writes: bool) -> None:
        """Write the problem out here, or only mark it: it stands where the text is edited."""
        if writes != self._writes:
            self._writes = writes
            if self.problem:
                self._resize()

    def on_resize(self) -> None:
        self._resize()
        if self.chosen:  # its problem, below it, may have come or grown
            self.post_message(self.Resized())

    def _resize(self) -> None:
        """As many rows as the problem takes."""
        self.styles.height = 1 + len(self._problem_lines())
        self.refresh()

    def _problem_lines(self) -> list[str]:
        width = self.size.width - INDENT - 2
        return textwrap.wrap(self.problem, max(10, width)) if self._writes and self.size.width else []

    def render(self) -> Text:
        spec = self.spec
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(" ✎ " if self.edited else " ▸ " if self.chosen else "   ", "bold")
        line.append(f"{shortened(spec.title, TITLE_WIDTH - 1):<{TITLE_WIDTH}}")
        mark = " ▾" if self.is_choice else ""
        covered = self.edited and self.is_number  # by the field where it is typed, and no rest is to stand behind that
        value = " " * NUMBER_WIDTH if covered else shortened(self.value, self.value_room) + mark
        line.append(value, Style(bold=self._written, dim=not self._written))
        if not covered and spec.unit and self.value != written(None):
            line.append(f" {SINGULAR.get(spec.unit, spec.unit) if self.value == '1' else spec.unit}", "dim")
        if self.at_cursor and self.is_number and not self.problem:
            line.pad_right(INDENT + TITLE_WIDTH + NUMBER_WIDTH - line.cell_len)  # beside the field where it is typed
            for sign, by in ((" −", -1), (" +", 1)):
                line.append(sign, Style(bold=True, meta={"@click": f"nudge({by})"}))
        elif self.note and INDENT + TITLE_WIDTH + len(value) + 2 + len(self.note) <= self.size.width:
            line.append(f"  {self.note}", "dim")
        if self.problem and not self._writes:
            line.append(" ✗", "bold red")
        for number, words in enumerate(self._problem_lines()):
            line.append(f"\n{'':{INDENT}}{' ' if number else '✗'} {words}", "red")
        return line

    @property
    def value_room(self) -> int:
        """Columns for the value, beside what stands behind it."""
        behind = 2 * self.is_choice + len(f" {self.spec.unit}" if self.spec.unit else "") + 6 * self.is_number
        return max(VALUE_WIDTH, self.size.width - TITLE_WIDTH - INDENT - behind)

    @property
    def is_cut(self) -> bool:
        """Is there more of the value than is seen?"""
        return len(self.value) > self.value_room

    def action_nudge(self, by: int) -> None:
        self.post_message(self.Nudged(by))


class SectionLine(Line):
    """The title of a section; where some of its fields are rarely used, whether they are shown."""

    def __init__(self, title: str, rows: Sequence[FieldRow]) -> None:
        super().__init__()
        self.title = title
        self.rows = [row for row in rows if row.spec.advanced]
        self._opened = False  # by the user
        self._forced = False  # by a field that is wrong

    @property
    def is_open(self) -> bool:
        return self._opened or self._forced

    @property
    def folds(self) -> bool:
        return bool(self._folded)

    @property
    def _folded(self) -> list[FieldRow]:
        """The fields that go with it; those of other sources of images are not shown anyway."""
        return [row for row in self.rows if not row.is_unread]

    def toggle(self) -> None:
        self._opened, self._forced = not self.is_open, False

    def unfold(self) -> None:
        self._opened = True

    def show(self, *, anew: bool) -> None:
        """`anew`: another recipe, whose errors are its own."""
        self._forced = any(row.problem for row in self.rows) or (self._forced and not anew)
        self.refresh()

    def render(self) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append("▸" if self.chosen else " ", "bold")
        line.append(self.title, "bold")
        hidden = [row for row in self._folded if not row.display]
        if hidden:
            line.append(f"  [+] {len(hidden)} more", "dim")
            if differing := sum(row.differs for row in hidden):
                line.append(f", {differing} not at default", "bold")
        elif self.folds:
            line.append("  [−] all shown", "dim")
        return line


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)
