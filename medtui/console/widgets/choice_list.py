"""A list to choose from in a small window."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import OptionList


class ChoiceList(OptionList):
    BINDINGS: ClassVar[list[BindingType]] = bindings("list", "list.down", "list.up")
