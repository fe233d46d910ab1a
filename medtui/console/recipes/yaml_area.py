"""The recipe as text, with each problem on its line."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.widgets import TextArea

from engine.contract.wire.errors import Problem
from medtui.text import clean


class YamlArea(TextArea):
    """Problems are shown at the end of their line; they are not part of the text."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, soft_wrap=False, show_line_numbers=True, tab_behavior="focus", compact=True)
        self._problems: dict[int, str] = {}
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
        found: dict[int, str] = {}
        for problem in problems:
            line = (problem.line or 1) - 1
            found[line] = f"{found[line]}; {problem.message}" if line in found else problem.message
        if found != self._problems:
            self._problems = found
            self._line_cache.clear()
            self.refresh()

    def get_line(self, line_index: int) -> Text:
        line = Text(clean(self.document.get_line(line_index)), end="", no_wrap=True)
        if line_index in self._problems:
            line.stylize("underline red")
            line.append(f"  ✗ {clean(self._problems[line_index], 120)}", "bold red")
        elif "#" in line.plain:
            line.stylize("dim", line.plain.index("#"))
        return line

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
