"""The field that runs are filtered with: hints while one types, an error next to what caused it."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import DescendantBlur, DescendantFocus
from textual.message import Message
from textual.widgets import Input

from engine.contract.wire.errors import UsageError
from medtui.client.run_filter import EXAMPLE, NO_FILTER, RunFilter, describe_names, parse_filter, parse_typed
from medtui.console.shell.plain import Static
from medtui.sentences import Filter


class FilterField(Vertical):
    """The filter of its text, or none while that is not understood; the line below it shows hints and errors."""

    class Changed(Message):
        """Another filter applies."""

    class Done(Message):
        """Enter: back to the runs."""

    def __init__(self) -> None:
        super().__init__(id="filter-field")
        self.run_filter: RunFilter = NO_FILTER

    def compose(self) -> ComposeResult:
        placeholder = f"/ filter: words, {EXAMPLE}"
        yield Input(placeholder=placeholder, id="run-filter", compact=True, select_on_focus=False)
        yield Static(id="filter-hint")

    @property
    def field(self) -> Input:
        return self.query_one("#run-filter", Input)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._apply(parse_typed):
            self.set_class(self.field.has_focus, "-open")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Done())

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        self._apply(parse_typed)
        self.add_class("-open")

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        """What was being typed is complete now. An error stays until it is corrected."""
        if self._apply(parse_filter):
            self.remove_class("-open")

    def _apply(self, parse: Callable[[str], RunFilter]) -> bool:
        """Use the filter of the text; False where it is none: that is told, and all runs are shown."""
        try:
            found, shown = parse(self.field.value), Text(describe_names(), "dim")
            if found.settings:  # of many runs that would take its time, with each key
                raise UsageError(Filter.OF_RECIPES, name=found.settings[0])
        except UsageError as error:
            found, shown = None, Text(str(error), "bold red")
        self._show(shown)
        self._use(found or NO_FILTER)
        return found is not None

    def _use(self, found: RunFilter) -> None:
        if found.text != self.run_filter.text:
            self.run_filter = found
            self.post_message(self.Changed())

    def _show(self, text: Text) -> None:
        self.query_one("#filter-hint", Static).update(text)
