"""The recipe's form, generated from the schema: a row a field, edited in place.

A new field of the schema appears here by itself, with title, help, unit, bounds, choices and errors.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.contract.recipe import Recipe
from engine.contract.recipe_schema import FieldSpec, fields, section_titles
from engine.contract.yaml_reader import written
from medtui.client.recipe_document import Checked, typed
from medtui.console.keymap import bindings
from medtui.text import clean, shortened

TITLE_WIDTH = 22
VALUE_WIDTH = 15


class FieldRow(Widget, can_focus=True):
    """One field: title, value, unit, and what is wrong with it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("form")

    class Edited(Message):
        """A person gave this field another value; `value` is YAML text."""

        def __init__(self, spec: FieldSpec, value: str) -> None:
            super().__init__()
            self.spec, self.value = spec, value

    class Focused(Message):
        def __init__(self, spec: FieldSpec) -> None:
            super().__init__()
            self.spec = spec

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__(id=f"field-{spec.section}-{spec.name}")
        self.spec = spec
        self._value = ""
        self._written = False
        self._problem = ""
        self._before = ""  # what stood there when editing began

    @property
    def is_choice(self) -> bool:
        """Nothing but fixed values may stand here."""
        fixed = {"enum", "const"}
        return all(fixed & set(variant) or variant.get("type") in ("boolean", "null") for variant in self.spec.variants)

    def show(self, checked: Checked) -> None:
        value = checked.value(self.spec)
        text = value if isinstance(value, str) else written(value) if _is_scalar(value) else "…"
        problem = checked.problem((self.spec.section, self.spec.name))
        shown = (clean(text, 200), checked.is_written(self.spec), clean(problem.message, 300) if problem else "")
        if shown != (self._value, self._written, self._problem):
            self._value, self._written, self._problem = shown
            self.refresh()

    def render(self) -> Text:
        spec = self.spec
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(" ▸ " if self.has_focus else "   ", "bold")
        line.append(f"{shortened(spec.title, TITLE_WIDTH - 1):<{TITLE_WIDTH}}")
        value = shortened(self._value, VALUE_WIDTH - (2 if self.is_choice else 0))
        mark = " ▾" if self.is_choice else ""
        line.append(f"{value + mark:<{VALUE_WIDTH}}", Style(bold=self._written, dim=not self._written))
        if self._problem:
            line.append(f" ✗ {self._problem}", "bold red")
        elif spec.unit:
            line.append(f" {spec.unit}", "dim")
        return line

    def on_focus(self) -> None:
        self.refresh()
        self.post_message(self.Focused(self.spec))

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.focus()
        self.action_edit()

    def action_step(self, by: int) -> None:
        rows = list(self.screen.query(FieldRow))
        number = rows.index(self) + by
        if 0 <= number < len(rows):
            rows[number].focus()

    def action_edit(self) -> None:
        from medtui.console.app import console_of

        if console_of(self).readonly or self.query(Input):
            return
        if self.is_choice:
            self.app.push_screen(Choose(self.spec, self._value), self._chosen)
            return
        self._before = self._value
        field = Input(self._value, compact=True, select_on_focus=True)
        field.styles.margin = (0, 0, 0, TITLE_WIDTH + 3)
        field.styles.width = VALUE_WIDTH
        self.mount(field)
        field.focus()

    def _chosen(self, value: Any) -> None:
        if isinstance(value, str):
            self.post_message(self.Edited(self.spec, value))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value != self._value:
            self.post_message(self.Edited(self.spec, typed(event.value, self.spec)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._end_edit()

    def on_descendant_blur(self) -> None:
        self._end_edit(focus=False)

    def key_escape(self, event: events.Key) -> None:
        """Takes back what was typed, and leaves the field."""
        if self.query(Input):
            event.stop()
            self.take_back()

    def take_back(self) -> None:
        if self.query(Input):
            self.post_message(self.Edited(self.spec, typed(self._before, self.spec)))
            self._end_edit()

    def _end_edit(self, *, focus: bool = True) -> None:
        for field in self.query(Input):
            field.remove()
            if focus:
                self.focus()


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
            yield Static(Text(f"{self.spec.title}: {self.spec.help}"), markup=False)
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


class RecipeForm(VerticalScroll, can_focus=False):
    """Every field of the schema, by section."""

    def __init__(self, model: type[Recipe], id: str) -> None:
        super().__init__(id=id)
        self.model = model
        self.specs = fields(model)

    def compose(self) -> ComposeResult:
        titles = section_titles(self.model)
        section = ""
        for spec in self.specs.values():
            if spec.section != section:
                section = spec.section
                yield Static(Text(titles.get(section, section), style="bold"), classes="section")
            yield FieldRow(spec)

    def show(self, checked: Checked) -> None:
        for row in self.query(FieldRow):
            row.show(checked)

    def row(self, section: str, field: str) -> FieldRow | None:
        try:
            return self.query_one(f"#field-{section}-{field}", FieldRow)
        except NoMatches:
            return None


def field_help(spec: FieldSpec) -> Text:
    """What a person wants to know of a field."""
    text = Text(f"{spec.path}  ", "bold")
    text.append(spec.help, "")
    text.append(f"  Expected {spec.expected}" + (f" ({spec.unit})" if spec.unit else "") + ".", "dim")
    text.append(f" Default {written(spec.default) if not isinstance(spec.default, str) else spec.default}.", "dim")
    return text
