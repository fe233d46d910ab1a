"""`medtui --help` and a refused recipe, compared with an interpreter that does nothing."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.children import MEDTUI, environment, wall
from benchmarks.rows import Effort, Row, alternating, at_most, at_most_above

GOAL = 0.5  # seconds above the bare interpreter
REFUSED_GOAL = 1  # seconds
BARE = [sys.executable, "-c", "pass"]


def measure(effort: Effort) -> list[Row]:
    ours, bare = help_times(effort.pairs)
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "mine.yaml"
        recipe.write_text("training:\n  epoch: 3\n")
        own = environment()
        refused = [wall([*MEDTUI, "run", str(recipe), "--workspace", folder], own, code=2) for _ in range(effort.pairs)]
    return [
        at_most_above(Row("help", "medtui --help", "s", ours, "bare interpreter", bare), GOAL),
        at_most(Row("help", "medtui run with a refused recipe", "s", refused), REFUSED_GOAL),
    ]


def help_times(pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of `medtui --help` and of the bare interpreter."""
    own = environment()
    wall([*MEDTUI, "--help"], own)
    return alternating(pairs, lambda: wall([*MEDTUI, "--help"], own), lambda: wall(BARE, own))
