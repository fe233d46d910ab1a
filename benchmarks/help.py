"""`medtui --help` against an interpreter that does nothing."""

from __future__ import annotations

import sys

from benchmarks.children import MEDTUI, environment, wall
from benchmarks.rows import Effort, Row, alternating, at_most_above

GOAL = 0.5  # seconds above the bare interpreter
BARE = [sys.executable, "-c", "pass"]


def measure(effort: Effort) -> list[Row]:
    ours, bare = help_times(effort.pairs)
    return [at_most_above(Row("help", "medtui --help", "s", ours, "bare interpreter", bare), GOAL)]


def help_times(pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of `medtui --help` and of the bare interpreter."""
    own = environment()
    wall([*MEDTUI, "--help"], own)
    return alternating(pairs, lambda: wall([*MEDTUI, "--help"], own), lambda: wall(BARE, own))
