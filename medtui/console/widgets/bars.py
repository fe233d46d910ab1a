"""Bars and sparklines, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from engine.contract.wire.protocol import Progress
from engine.contract.wire.text import format_bytes

SPARKS = "▁▂▃▄▅▆▇█"


def sparkline(values: tuple[float, ...], low: float = 0.0, high: float = 1.0) -> str:
    """One block per value; non-finite values are crosses."""
    found = []
    for value in values:
        if not math.isfinite(value):
            found.append("×")
            continue
        fraction = (max(low, min(value, high)) - low) / (high - low) if high > low else 0.5
        found.append(SPARKS[min(len(SPARKS) - 1, int(fraction * len(SPARKS)))])
    return "".join(found)


def area_chart(values: Sequence[float], width: int, height: int) -> list[str]:
    """A history of fractions over `height` lines, the newest at the right; a long one is averaged to fit.

    What is above it, or before it, is dots: where the chart ends can be seen.
    """
    step = max(1, math.ceil(len(values) / max(1, width)))
    ends = range(len(values), 0, -step)
    means = [sum(part) / len(part) for end in ends if (part := values[max(0, end - step) : end])][::-1]
    levels = [max(1, round(max(0.0, min(1.0, value)) * height * 8)) for value in means]  # in eighths of a line
    return [
        "".join("·" if level <= below else SPARKS[min(8, level - below) - 1] for level in levels).rjust(width, "·")
        for below in range(8 * (height - 1), -1, -8)
    ]


def bar(done: float, total: float, width: int) -> Text:
    fraction = 0.0 if total <= 0 else max(0.0, min(1.0, done / total))
    full = round(fraction * width)
    text = Text("█" * full, "green")
    text.append("░" * (width - full), "dim")
    return text


def bytes_bar(progress: Progress, width: int) -> Text:
    """Progress of a download: `██████░░░░ 6.1 MB of 12.0 MB`."""
    total = f" of {format_bytes(progress.total)}" if progress.total else ""
    words = f" {format_bytes(progress.done)}{total}"
    return bar(progress.done, progress.total, max(6, width - len(words) - 1)).append(f"{words}\n", "none")
