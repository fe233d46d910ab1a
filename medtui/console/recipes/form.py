"""The recipe's form, generated from the schema: one line per field, edited in place.

A new field of the schema appears here automatically, with title, help, unit, bounds, choices and errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Input
from textual.widgets.input import Selection

from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.schema import FieldSpec, fields, section_titles
from engine.contract.recipe.sources import KINDS, unread_fields
from engine.contract.recipe.yaml_reader import written
from medtui.client.recipe_document import Checked, typed
from medtui.console.recipes.choices import Available, Choice, choices_of
from medtui.console.recipes.choose import Choose
from medtui.console.recipes.field_row import INDENT, NUMBER_WIDTH, TITLE_WIDTH, FieldRow, Line, SectionLine
from medtui.console.shell.app_context import context_of
from medtui.console.shell.keymap import bindings


class RecipeForm(VerticalScroll, can_focus=True):
    """Every field of the schema, by section; the rarely used ones are folded away."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("form")

    class Edited(Message):
        """The user changed a field; `value` is YAML text. `typing`: as far as it is typed."""

        def __init__(self, spec: FieldSpec, value: str, *, typing: bool = False) -> None:
            super().__init__()
            self.spec, self.value, self.typing = spec, value, typing

    class Began(Message):
        """A value is about to be typed."""

    class TakenBack(Message):
        """The typed text is discarded."""

    class Moved(Message):
        """The cursor is on another line, or that line says something else."""

    def __init__(self, model: type[Recipe], id: str) -> None:
        super().__init__(id=id)
        titles = section_titles(model)
        self.rows = [FieldRow(spec) for spec in fields(model).values()]
        self.sections = {
            name: SectionLine(titles.get(name, name), [row for row in self.rows if row.spec.section == name])
            for name in dict.fromkeys(row.spec.section for row in self.rows)
        }
        self.lines: list[Line] = []  # all that the cursor can stand on, from top to bottom
        for name, section in self.sections.items():
            self.lines += [section, *(row for row in self.rows if row.spec.section == name)]
        for line in self.lines:
            line.display = False  # without a recipe they would look like an empty one
        self.cursor = 1
        self.field: Input | None = None  # where a value is being typed
        self._reported = ""  # the value reported last; rows are updated later than it is typed
        self._checked: Checked | None = None
        self._available: Available | None = None  # what this machine has to choose among

    async def fill(self) -> None:
        """Mount the lines. Some seventy widgets: the first frame of the screen does not wait for them."""
        await self.mount_all(self.lines)

    # ---- what it shows ---------------------------------------------------------------------------------------------

    def show(self, checked: Checked, *, anew: bool = False) -> None:
        """The values. `anew`: of another recipe."""
        self._checked = checked
        section = self._values("dataset")
        unread = unread_fields(section)
        for row in self.rows:
            row.show(checked, self._note(row, checked))
            row.is_unread = row.spec.section == "dataset" and row.spec.name in unread and not row.is_noticed
        for line in self.sections.values():
            line.show(anew=anew)
        self._show_lines()

    def show_available(self, available: Available) -> None:
        if available != self._available:
            self._available = available
            if self._checked is not None:
                self.show(self._checked)

    def write_problems(self, writes: bool) -> None:
        """Write errors out, each below its field, or only mark the fields."""
        for row in self.rows:
            row.write_problems(writes)

    def has_field(self, path: tuple[str, ...]) -> bool:
        return any((row.spec.section, row.spec.name) == path for row in self.rows)

    def _values(self, section: str) -> Mapping[str, Any]:
        """What the recipe writes in a section."""
        found = self._checked.values.get(section) if self._checked is not None else None
        return found if isinstance(found, dict) else {}

    def _note(self, row: FieldRow, checked: Checked) -> str:
        """What is known of the choice that a field has."""
        if not row.is_choice or not checked.readable:
            return ""
        value = checked.value(row.spec)
        if value is None and row.spec.section == "dataset" and row.spec.name in KINDS:
            titles = [other.spec.title for other in self.rows if other.spec.name in self._sources]
            return f"see {titles[0]}" if titles else ""
        found = choices_of(row.spec, self._values(row.spec.section), self._available)
        return next((choice.note for choice in found if choice.value == written(value)), "")

    def _show_lines(self) -> None:
        """A field is hidden where the source of images does not read it, or while it is folded away."""
        for row in self.rows:
            is_source = row.spec.section == "dataset" and row.spec.name in self._sources
            folded = row.spec.advanced and not self.sections[row.spec.section].is_open
            row.display = not row.is_unread and (not folded or is_source or bool(row.problem))
        for section in self.sections.values():
            section.display = True
            section.refresh()
        if not self.line.display and self.field is None:  # another recipe folds it away
            self._move(self._section_of(self.line))
            self.line.choose(self.has_focus)

    @property
    def _sources(self) -> list[str]:
        """The fields that name where the images come from."""
        return [key for key in KINDS if self._values("dataset").get(key) is not None]

    # ---- the cursor ------------------------------------------------------------------------------------------------

    @property
    def line(self) -> Line:
        """The line at the cursor."""
        return self.lines[self.cursor]

    @property
    def row(self) -> FieldRow | None:
        """The field at the cursor; None on the title of a section."""
        return self.line if isinstance(self.line, FieldRow) else None

    @property
    def stops(self) -> list[Line]:
        """The lines that the cursor goes to, from top to bottom."""
        return [
            line
            for line in self.lines
            if (line.folds if isinstance(line, SectionLine) else line.display) or line is self.line
        ]

    def go_to(self, section: str, field: str) -> bool:
        """Put the cursor on a field, which is unfolded. False when there is none of that name."""
        for row in self.rows:
            if (row.spec.section, row.spec.name) == (section, field):
                if not row.display:
                    self.sections[section].unfold()
                    self._show_lines()
                    row.display = True
                self._move(row)
                return True
        return False

    def _move(self, line: Line) -> None:
        for at_cursor, one in ((False, self.line), (True, line)):
            if isinstance(one, FieldRow):
                one.at_cursor = at_cursor
            one.choose(at_cursor)
        self.cursor = self.lines.index(line)
        self._scroll_to_cursor()
        self.post_message(self.Moved())

    def _scroll_to_cursor(self) -> None:
        if self.line in self.stops[:2]:
            self.scroll_home(animate=False)
        else:
            self.scroll_to_widget(self.line, animate=False)

    def on_resize(self) -> None:
        """After a resize, or when first shown: the selected line stays visible."""
        if self.line.chosen:
            self.call_after_refresh(self._scroll_to_cursor)

    def on_field_row_resized(self) -> None:
        self.call_after_refresh(self._scroll_to_cursor)

    def on_focus(self) -> None:
        self._move(self.line)

    def on_blur(self) -> None:
        if self.field is None:
            self.line.choose(False)

    def action_step(self, by: int) -> None:
        self._end_edit()
        stops = self.stops
        self._move(stops[max(0, min(len(stops) - 1, stops.index(self.line) + by))])

    def on_line_clicked(self, event: Line.Clicked) -> None:
        """Edit a line, unless it is being edited: then the click belongs to its input."""
        event.stop()
        if self.field is None or event.line is not self.line:
            self._end_edit()
            self.screen.set_focus(self)
            self._move(event.line)
            self.action_edit()

    # ---- folding ---------------------------------------------------------------------------------------------------

    def action_fold(self) -> None:
        """Show the rarely used fields of the section at the cursor, or fold them away."""
        self._end_edit()
        section = self.line if isinstance(self.line, SectionLine) else self._section_of(self.line)
        if section.folds:
            section.toggle()
            self._show_lines()
            self._move(self.line)

    def _section_of(self, line: Line) -> SectionLine:
        assert isinstance(line, FieldRow)
        return self.sections[line.spec.section]

    # ---- editing ---------------------------------------------------------------------------------------------------

    def action_edit(self) -> None:
        row = self.row
        if row is None:
            self.action_fold()
        elif context_of(self).readonly or self.field is not None:
            return
        elif row.is_choice:
            choices = choices_of(row.spec, self._values(row.spec.section), self._available)
            self.app.push_screen(Choose(row.spec, choices, self._as_written(row)), self._take_choice)
        else:
            self._type_into(row)

    def _as_written(self, row: FieldRow) -> str:
        """Its value as YAML text."""
        value = self._checked.value(row.spec) if self._checked is not None else None
        return written(value) if isinstance(value, str) else row.value

    def _type_into(self, row: FieldRow) -> None:
        self.post_message(self.Began())
        self._reported = row.value
        self.field = Input(row.value, compact=True, select_on_focus=False)
        self.field.set_reactive(Input.selection, Selection(0, len(row.value)))  # typing replaces it, at once
        self.field.styles.margin = (0, 0, 0, TITLE_WIDTH + INDENT)
        self.field.styles.width = NUMBER_WIDTH if row.is_number else "1fr"
        row.mount(self.field)
        self.field.focus()
        row.edited = True
        row.refresh()

    def on_field_row_nudged(self, event: FieldRow.Nudged) -> None:
        event.stop()
        self.action_nudge(event.by)

    def action_nudge(self, by: int) -> None:
        """The next larger or smaller value of a number, without typing."""
        row = self.row
        if context_of(self).readonly or row is None or not row.is_number:
            return
        self._end_edit()
        if (value := nudged(row.value, by)) is not None:
            self.post_message(self.Edited(row.spec, value))

    def _take_choice(self, choice: Choice | None) -> None:
        row = self.row
        if choice is None or row is None:
            return
        if choice.value is None:
            if self.go_to(row.spec.section, choice.field) and self.row is not None:
                self._type_into(self.row)
        elif choice.value != self._as_written(row):  # the value it has already is not an edit
            self.post_message(self.Edited(row.spec, choice.value))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input is self.field:
            self._report(event.value)

    def _report(self, value: str) -> None:
        if value != self._reported and self.row is not None:
            self._reported = value
            self.post_message(self.Edited(self.row.spec, typed(value, self.row.spec), typing=True))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._end_edit()

    def on_descendant_blur(self) -> None:
        self._end_edit(focus=False)

    def take_back(self) -> None:
        """Undo what was typed, and leave the field."""
        if self.field is not None:
            self._end_edit()
            self.post_message(self.TakenBack())

    def _end_edit(self, *, focus: bool = True) -> None:
        if self.field is None or self.row is None:
            return
        self._report(self.field.value)  # the event of its last key may still be in the queue
        field, self.field = self.field, None
        self.row.edited = False
        self.row.refresh()
        if focus:
            self.screen.set_focus(self)
        else:
            self.row.choose(False)
        field.remove()


def nudged(text: str, by: int) -> str | None:
    """An integer one up or down, another number along 1, 2, 5, 10 …, from zero to 0.01; None for anything else."""
    try:
        if text.lstrip("+-").isdigit():
            return str(int(text) + by)
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value) or value < 0:
        return None
    if value == 0:
        return "0.01" if by > 0 else None
    exponent = math.floor(math.log10(value))
    steps = [float(f"{digit}e{power}") for power in range(exponent - 1, exponent + 2) for digit in (1, 2, 5)]
    beyond = [step for step in steps if (step > value * 1.001 if by > 0 else step < value * 0.999)]
    return written(beyond[0] if by > 0 else beyond[-1])
