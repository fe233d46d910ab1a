"""From the start of `medtui` to its first frame, compared with an empty Textual app."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.children import environment
from benchmarks.empty_app import PAINTED
from benchmarks.rows import Effort, Row, alternating, at_most_ratio
from benchmarks.terminal import CONSOLE, Terminal

GOAL = 1.6  # times the empty app's
EMPTY = [sys.executable, str(Path(__file__).with_name("empty_app.py"))]
FRAME, FORM, PLAN = "before you run", "Learning rate", "steps"  # in the first frame, and as it is completed


def measure(effort: Effort) -> list[Row]:
    rows = []
    for words, what in ((FRAME, "first paint of medtui"), (FORM, "form filled"), (PLAN, "preflight done")):
        ours, empty = paint_times(effort.pairs, words)
        rows.append(Row("first_paint", what, "s", ours, "empty Textual app", empty))
    return [at_most_ratio(rows[0], GOAL), *rows[1:]]


def paint_times(pairs: int, words: str = FRAME) -> tuple[list[float], list[float]]:
    """Seconds until these words of the recipes are drawn, and until the empty app is."""
    with tempfile.TemporaryDirectory() as folder:
        own = environment() | {"MEDTUI_SETTINGS": str(Path(folder) / "settings.yaml")}

        def medtui() -> float:
            return _until(CONSOLE, words, own, Path(folder))

        def other() -> float:
            return _until(EMPTY, PAINTED, own, Path(folder))

        medtui(), other()
        return alternating(pairs, medtui, other)


def _until(program: list[str], words: str, environment: dict[str, str], cwd: Path) -> float:
    began = time.perf_counter()
    terminal = Terminal(program, environment, cwd=cwd)
    try:
        return terminal.wait_for(words) - began
    finally:
        terminal.close()
