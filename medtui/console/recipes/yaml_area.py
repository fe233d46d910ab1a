"""The recipe as text, with a mark on each line that is wrong."""

from __future__ import annotations

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import TextArea

from engine.contract.wire.errors import Problem
from medtui.console.recipes.text import problems_text
from medtui.console.shell.plain import Static
from medtui.text import clean


def line_of(problem: Problem) -> int:
    """Counted from 1; the first line for what has none."""
    return problem.line or 1


class YamlArea(TextArea):
    """The marks are not part of the text."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, soft_wrap=False, show_line_numbers=True, tab_behavior="focus", compact=True)
        self._wrong: set[int] = set()  # lines, from 0
        self._became: str | None = None  # the text that `become` made last, if it made an edit

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter" and not self.read_only:
            event.stop()
            event.prevent_default()
            self.replace("\n" + self._indent(), *self.selection, maintain_selection_offset=False)
            return
        await super()._on_key(event)

    def _indent(self) -> str:
        """Of a new line below the cursor's: the same, and two more spaces below a key that ends with a colon."""
        row, column = min(self.selection)
        before = self.document.get_line(row)[:column]
        own = before[: len(before) - len(before.lstrip(" "))]
        return own + "  " * before.partition(" #")[0].rstrip().endswith(":")

    def show_problems(self, problems: tuple[Problem, ...]) -> None:
        found = {line_of(problem) - 1 for problem in problems}
        if found != self._wrong:
            self._wrong = found
            self._line_cache.clear()
            self.refresh()

    def get_line(self, line_index: int) -> Text:
        line = Text(clean(self.document.get_line(line_index)), end="", no_wrap=True)
        if line_index in self._wrong:
            line.stylize("underline red")
            line.append(" ✗", "bold red")
        elif "#" in line.plain:
            line.stylize("dim", line.plain.index("#"))
        return line

    @property
    def line_number(self) -> int:
        """Of the cursor's line, from 1."""
        return self.cursor_location[0] + 1

    def become(self, text: str, *, instead: bool = False) -> None:
        """Change the text with the smallest edit: cursor, scroll and undo stay.

        `instead`: replace the change of the previous call, so that one undo reverts both.
        """
        cursor = self.selection
        if instead and self._became == self.text:
            self.undo()
        self._became = None
        if self.text != text:
            self._change(text)
            self._became = text
        if not self.has_focus:
            self.selection = cursor

    def _change(self, text: str) -> None:
        """One edit, one step of undo."""
        old, start, end = self.text, 0, 0
        while start < min(len(old), len(text)) and old[start] == text[start]:
            start += 1
        while end < min(len(old), len(text)) - start and old[-1 - end] == text[-1 - end]:
            end += 1
        locate = self.document.get_location_from_index  # type: ignore[attr-defined]
        self.history.checkpoint()
        self.replace(
            text[start : len(text) - end], locate(start), locate(len(old) - end), maintain_selection_offset=True
        )
        self.history.checkpoint()


class TextPane(Vertical):
    """The text, and below it what is wrong: on the line at the cursor while it has the focus, and what is at no field.

    All else is told in the form, so that one error stands in one place.
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.area = YamlArea(id="yaml")
        self._problems: tuple[Problem, ...] = ()
        self._without_field: tuple[Problem, ...] = ()
        self._reported: tuple[Problem, ...] = ()

    def compose(self) -> ComposeResult:
        yield self.area
        with VerticalScroll(id="text-problems"):
            yield Static(id="text-problems-text")

    def show_problems(self, problems: tuple[Problem, ...], without_field: tuple[Problem, ...]) -> None:
        self._problems, self._without_field = problems, without_field
        self.area.show_problems(problems)
        self._tell()

    @on(TextArea.SelectionChanged)
    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _tell(self) -> None:
        here = self._problems if self.area.has_focus else ()
        reported = tuple(one for one in here if line_of(one) == self.area.line_number) or self._without_field
        if reported != self._reported:
            self._reported = reported
            self.query_one("#text-problems").display = bool(reported)
            self.query_one("#text-problems-text", Static).update(problems_text(reported))
