"""From the start of `medtui` to its first picture, against a Textual app with nothing in it.

As a script it is that app.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.children import environment
from benchmarks.rows import Effort, Row, alternating, at_most_ratio
from benchmarks.terminal import CONSOLE, Terminal

GOAL = 1.6  # times the empty app's
PAINTED = "painted"  # what the empty app shows


def measure(effort: Effort) -> list[Row]:
    ours, empty = paint_times(effort.pairs)
    return [at_most_ratio(Row("first_paint", "first paint of medtui", "s", ours, "empty Textual app", empty), GOAL)]


def paint_times(pairs: int) -> tuple[list[float], list[float]]:
    """Seconds until the recipes are drawn, and until the empty app is."""
    with tempfile.TemporaryDirectory() as folder:
        own = environment() | {"MEDTUI_SETTINGS": str(Path(folder) / "settings.yaml")}
        empty = [sys.executable, "-m", "benchmarks.first_paint"]

        def medtui() -> float:
            return _until(CONSOLE, "before you run", own, Path(folder))

        def other() -> float:
            return _until(empty, PAINTED, own, Path(folder))

        medtui(), other()
        return alternating(pairs, medtui, other)


def _until(program: list[str], words: str, environment: dict[str, str], cwd: Path) -> float:
    began = time.perf_counter()
    terminal = Terminal(program, environment, cwd=cwd)
    try:
        return terminal.wait_for(words) - began
    finally:
        terminal.close()


def _empty_app() -> None:
    from textual.app import App, ComposeResult
    from textual.widgets import Static

    class Empty(App[None]):
        def compose(self) -> ComposeResult:
            yield Static(PAINTED)

    Empty().run()


if __name__ == "__main__":
    _empty_app()
