"""The recipe's form, generated from the schema: one row per field, edited in place.

A new field of the schema appears here automatically, with title, help, unit, bounds, choices and errors.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input
from textual.widgets.input import Selection

from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.schema import FieldSpec, fields, section_titles
from engine.contract.recipe.sources import unread_fields
from engine.contract.recipe.yaml_reader import written
from engine.contract.wire.errors import Problem
from medtui.client.recipe_document import Checked, typed
from medtui.console.shell.app_context import context_of
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Option, OptionList, Static
from medtui.text import UNDEFINED, clean, shortened

TITLE_WIDTH = 22
VALUE_WIDTH = 15


class FieldRow(Widget):
    """One field: title, value, unit, and its problem."""

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__(id=f"field-{spec.section}-{spec.name}")
        self.spec = spec
        self.value = ""
        self.chosen = self.edited = False
        self.at_cursor = False  # the form's cursor is here, even while something else has the focus
        self._written = False
        self._problem = ""

    @property
    def is_choice(self) -> bool:
        """Are only fixed values allowed?"""
        fixed = {"enum", "const"}
        return all(fixed & set(variant) or variant.get("type") in ("boolean", "null") for variant in self.spec.variants)

    @property
    def is_number(self) -> bool:
        return any(variant.get("type") in ("number", "integer") for variant in self.spec.variants)

    @property
    def is_noticed(self) -> bool:
        """Is it written in the recipe, or wrong?"""
        return self._written or bool(self._problem)

    def on_click(self, event: events.Click) -> None:
        if "@click" not in event.style.meta:
            self.query_ancestor(RecipeForm).clicked(self)

    def action_nudge(self, by: int) -> None:
        self.query_ancestor(RecipeForm).action_nudge(by)

    def show(self, checked: Checked) -> None:
        value = checked.value(self.spec)
        path = (self.spec.section, self.spec.name)
        text = value if isinstance(value, str) else written(value) if _is_scalar(value) else "…"
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = checked.texts.get(path, text)  # `1e-3` stays `1e-3`
        if not checked.readable:
            text = UNDEFINED  # a default would look like the recipe's
        problem = checked.problem(path)
        shown = (clean(text, 200), checked.is_written(self.spec), clean(problem.message, 300) if problem else "")
        if shown != (self.value, self._written, self._problem):
            self.value, self._written, self._problem = shown
            self.refresh()

    def choose(self, chosen: bool) -> None:
        if chosen != self.chosen:
            self.chosen = chosen
            self.set_class(chosen, "-chosen")
            self.refresh()

    def render(self) -> Text:
        spec = self.spec
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(" ✎ " if self.edited else " ▸ " if self.chosen else "   ", "bold")
        line.append(f"{shortened(spec.title, TITLE_WIDTH - 1):<{TITLE_WIDTH}}")
        alone = not (self._problem or spec.unit or self.is_number)
        room = max(VALUE_WIDTH, self.size.width - TITLE_WIDTH - 3) if alone else VALUE_WIDTH
        value = shortened(self.value, room - (2 if self.is_choice else 0))
        mark = " ▾" if self.is_choice else ""
        line.append(f"{value + mark:<{VALUE_WIDTH}}", Style(bold=self._written, dim=not self._written))
        if self.at_cursor and self.is_number and not self._problem:
            for sign, by in ((" −", -1), (" +", 1)):
                line.append(sign, Style(bold=True, meta={"@click": f"nudge({by})"}))
        if self._problem:
            line.append(f" ✗ {self._problem}", "bold red")
        elif spec.unit:
            line.append(f" {spec.unit}", "dim")
        return line


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


class Choose(ModalScreen[str | None]):
    """The choices of a field; the result is YAML text."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, spec: FieldSpec, value: str) -> None:
        super().__init__()
        self.spec = spec
        self.values = [written(choice) for choice in spec.choices]
        self.value = value

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Text(f"{self.spec.title}: {self.spec.help}"))
            yield ChoiceList(*(Option(Text(clean(value)), id=str(n)) for n, value in enumerate(self.values)))

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        if self.value in self.values:
            options.highlighted = self.values.index(self.value)
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self.values[event.option_index])

    def action_close(self) -> None:
        self.dismiss(None)


class ChoiceList(OptionList):
    BINDINGS: ClassVar[list[BindingType]] = [b for b in bindings("list") if getattr(b, "id", "") != "list.right"]


class RecipeForm(VerticalScroll, can_focus=True):
    """Every field of the schema, by section."""

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

    class Chosen(Message):
        """The cursor moved to another field."""

        def __init__(self, spec: FieldSpec) -> None:
            super().__init__()
            self.spec = spec

    def __init__(self, model: type[Recipe], id: str) -> None:
        super().__init__(id=id)
        self.model = model
        self.specs = fields(model)
        self.rows = [FieldRow(spec) for spec in self.specs.values()]
        self.cursor = 0
        self.field: Input | None = None  # where a value is being typed
        self._reported = ""  # the value reported last; rows are updated later than it is typed

    async def fill(self) -> None:
        """Mount the rows. Some sixty widgets: the first frame of the screen does not wait for them."""
        titles = section_titles(self.model)
        widgets: list[Widget] = []
        section = ""
        for row in self.rows:
            if row.spec.section != section:
                section = row.spec.section
                widgets.append(Static(Text(titles.get(section, section), style="bold"), classes="section"))
            widgets.append(row)
        await self.mount_all(widgets)

    def show(self, checked: Checked) -> None:
        """The values; a field that this source of images does not read is hidden, unless it is written or wrong."""
        section = checked.values.get("dataset")
        unread = unread_fields(section if isinstance(section, dict) else {})
        for row in self.rows:
            row.show(checked)
            row.display = row.spec.section != "dataset" or row.spec.name not in unread or row.is_noticed

    def go_to(self, section: str, field: str) -> bool:
        """Put the cursor on a field. False when there is none of that name."""
        for number, row in enumerate(self.rows):
            if (row.spec.section, row.spec.name) == (section, field):
                row.display = True
                self._move(number)
                return True
        return False

    def _move(self, number: int) -> None:
        self.rows[self.cursor].choose(False)
        self.rows[self.cursor].at_cursor = False
        self.cursor = max(0, min(len(self.rows) - 1, number))
        row = self.rows[self.cursor]
        row.at_cursor = True
        row.choose(True)
        self._scroll_to_cursor()
        self.post_message(self.Chosen(row.spec))

    def _scroll_to_cursor(self) -> None:
        if self.cursor == 0:
            self.scroll_home(animate=False)
        else:
            self.scroll_to_widget(self.rows[self.cursor], animate=False)

    def on_resize(self) -> None:
        """After a resize, or when first shown: the selected field stays visible."""
        if self.rows[self.cursor].chosen:
            self.call_after_refresh(self._scroll_to_cursor)

    def on_focus(self) -> None:
        self._move(self.cursor)

    def on_blur(self) -> None:
        if self.field is None:
            self.rows[self.cursor].choose(False)

    def action_step(self, by: int) -> None:
        self._end_edit()
        shown = [number for number, row in enumerate(self.rows) if row.display or number == self.cursor]
        self._move(shown[max(0, min(len(shown) - 1, shown.index(self.cursor) + by))])

    def clicked(self, row: FieldRow) -> None:
        """Edit a row, unless it is being edited: then the click belongs to its input."""
        if self.field is None or row is not self.rows[self.cursor]:
            self._end_edit()
            self.screen.set_focus(self)
            self._move(self.rows.index(row))
            self.action_edit()

    def action_edit(self) -> None:
        if context_of(self).readonly or self.field is not None:
            return
        row = self.rows[self.cursor]
        if row.is_choice:
            self.app.push_screen(Choose(row.spec, row.value), self._take_choice)
            return
        self.post_message(self.Began())
        self._reported = row.value
        self.field = Input(row.value, compact=True, select_on_focus=False)
        self.field.set_reactive(Input.selection, Selection(0, len(row.value)))  # typing replaces it, at once
        self.field.styles.margin = (0, 0, 0, TITLE_WIDTH + 3)
        self.field.styles.width = VALUE_WIDTH
        row.mount(self.field)
        self.field.focus()
        row.edited = True
        row.refresh()

    def action_nudge(self, by: int) -> None:
        """The next larger or smaller value of a number, without typing."""
        row = self.rows[self.cursor]
        if context_of(self).readonly or not row.is_number:
            return
        self._end_edit()
        if (value := nudged(row.value, by)) is not None:
            self.post_message(self.Edited(row.spec, value))

    def _take_choice(self, value: Any) -> None:
        row = self.rows[self.cursor]
        if isinstance(value, str) and value != row.value:  # the value it has already is not an edit
            self.post_message(self.Edited(row.spec, value))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input is self.field:
            self._report(event.value)

    def _report(self, value: str) -> None:
        if value != self._reported:
            self._reported = value
            spec = self.rows[self.cursor].spec
            self.post_message(self.Edited(spec, typed(value, spec), typing=True))

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
        if self.field is None:
            return
        self._report(self.field.value)  # the event of its last key may still be in the queue
        field, self.field = self.field, None
        self.rows[self.cursor].edited = False
        self.rows[self.cursor].refresh()
        if focus:
            self.screen.set_focus(self)
        else:
            self.rows[self.cursor].choose(False)
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


def field_help(spec: FieldSpec, problem: Problem | None) -> Text:
    """What the user needs to know about a field, its problem first."""
    text = Text()
    if problem is not None:
        text.append(f"✗ {clean(problem.message, 400)}\n", "bold red")
    text.append(f"{spec.path}  ", "bold")
    text.append(spec.help, "")
    text.append(f"  Expected {spec.expected}" + (f" ({spec.unit})" if spec.unit else "") + ".", "dim")
    text.append(f" Default {written(spec.default) if not isinstance(spec.default, str) else spec.default}.", "dim")
    return text
