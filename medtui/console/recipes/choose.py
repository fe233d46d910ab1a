"""The choices of a field, in a small window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from engine.contract.recipe.schema import FieldSpec
from medtui.console.recipes.choices import Choice
from medtui.console.shell.dialogs import Dialog
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Option, OptionList, Static
from medtui.console.widgets.choice_list import ChoiceList
from medtui.text import clean

LABEL_WIDTH = 16  # columns; notes stand in line behind it


class Choose(Dialog[Choice]):
    """The cursor is on the value as it is; one that is no choice is the first line, so that nothing replaces it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, spec: FieldSpec, choices: Sequence[Choice], value: str) -> None:
        super().__init__()
        self.spec, self.value = spec, value
        self.choices = list(choices)
        if value not in [choice.value for choice in choices]:
            self.choices.insert(0, Choice(value, "as it is", value))

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Text.assemble((f"{self.spec.title}  ", "bold"), clean(self.spec.help)))
            yield ChoiceList(*(Option(_line(choice)) for choice in self.choices))

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = [choice.value for choice in self.choices].index(self.value)
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self.choices[event.option_index])


def _line(choice: Choice) -> Text:
    label = clean(choice.label, 200)
    return Text.assemble(f"{label:<{LABEL_WIDTH}}  " if choice.note else label, (clean(choice.note, 200), "dim"))
