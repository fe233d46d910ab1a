"""The recipe as text, with what is wrong on its own line."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import TextArea

from engine.contract.recipe_conflicts import Problem
from medtui.text import clean


class YamlArea(TextArea):
    """Problems stand at the end of their line; they are drawn, not part of the text."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, soft_wrap=False, show_line_numbers=True, tab_behavior="focus", compact=True)
        self._problems: dict[int, str] = {}

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

    def become(self, text: str) -> None:
        """Another text with the least change: cursor, scroll and undo stay."""
        old = self.text
        if old == text:
            return
        start = 0
        while start < min(len(old), len(text)) and old[start] == text[start]:
            start += 1
        end = 0
        while end < min(len(old), len(text)) - start and old[-1 - end] == text[-1 - end]:
            end += 1
        locate = self.document.get_location_from_index  # type: ignore[attr-defined]
        cursor = self.selection
        self.replace(
            text[start : len(text) - end], locate(start), locate(len(old) - end), maintain_selection_offset=True
        )
        if not self.has_focus:
            self.selection = cursor
