"""Which columns the table of runs has: those that were chosen, else those that tell most."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from medtui.console.results.run_table import MARK, Arrangement
from medtui.console.shell.app_context import key_of
from medtui.console.shell.dialogs import Dialog
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Option, OptionList, Static

ALWAYS = (MARK, "date")
TITLES = tuple(title for title in Arrangement().columns if title not in ALWAYS)  # that can be chosen


def known_columns(value: Any) -> tuple[str, ...]:
    """Of what a file remembers; empty: nothing was chosen."""
    return tuple(title for title in TITLES if title in value) if isinstance(value, list) else ()


def limited(arrangement: Arrangement, chosen: Collection[str], *, subsets: bool) -> Arrangement:
    """Only the chosen columns, as many as fit; all where none is chosen. `subsets`: no number without its data set."""
    if not chosen:
        return arrangement
    first = (*ALWAYS, "data set") if subsets else ALWAYS
    rest = tuple(title for title in arrangement.by_importance if title in chosen and title not in first)
    return replace(arrangement, by_importance=(*first, *rest))


class ChooseColumns(Dialog[list[str]]):
    """The result: the titles; empty for those that tell most."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("columns")

    def __init__(self, chosen: Collection[str]) -> None:
        super().__init__()
        self.chosen = set(chosen)

    def compose(self) -> ComposeResult:
        toggle, automatic, close = (key_of(self, f"columns.{name}") for name in ("toggle", "automatic", "close"))
        with Vertical(id="dialog"):
            yield Static("Columns of the table, as many as fit:")
            yield OptionList(*(Option(self._row(title), id=str(at)) for at, title in enumerate(TITLES)))
            words = f"{toggle} chooses, enter accepts, {automatic} is automatic, {close} cancels"
            yield Static(Text(words, style="dim"))

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = 0
        self.set_focus(self.query_one(OptionList))

    def _row(self, title: str) -> Text:
        return Text(f"{'✓' if title in self.chosen else ' '} {title}")

    def action_choose_column(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            title = TITLES[options.highlighted]
            self.chosen ^= {title}
            options.replace_option_prompt_at_index(options.highlighted, self._row(title))

    def action_step(self, by: int) -> None:
        options = self.query_one(OptionList)
        (options.action_cursor_down if by > 0 else options.action_cursor_up)()

    def action_automatic(self) -> None:
        self.dismiss([])

    @on(OptionList.OptionSelected)
    def _accept(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss([title for title in TITLES if title in self.chosen])
