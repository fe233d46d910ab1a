"""The result of a measurement: rows of numbers, ours and a reference, and whether a goal is met."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace


@dataclass(frozen=True)
class Effort:
    """How much may be spent on measuring."""

    pairs: int
    quick: bool

    def at_most(self, pairs: int) -> Effort:
        """Fewer pairs, for what is slow or steady."""
        return Effort(min(self.pairs, pairs), self.quick)


@dataclass(frozen=True)
class Row:
    """One line of the table. `other` is empty if there is no reference."""

    measurement: str
    what: str
    unit: str
    ours: list[float]
    other_what: str = ""
    other: list[float] = field(default_factory=list)
    faster: bool = False  # is the ratio a speed (other / ours of times), not a cost (ours / other)?
    goal: str = ""
    met: bool | None = None

    @property
    def ratios(self) -> list[float]:
        """One per pair: both halves of a pair were measured at about the same time."""
        pairs = zip(self.ours, self.other, strict=True) if self.other else ()
        return [other / ours if self.faster else ours / other for ours, other in pairs]

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.other else None

    @property
    def median(self) -> float:
        return statistics.median(self.ours)


def at_least(row: Row, ratio: float) -> Row:
    """The goal: as fast as this, or faster."""
    return replace(row, goal=f"≥ {ratio:g} x", met=row.ratio is not None and row.ratio >= ratio)


def at_least_value(row: Row, value: float) -> Row:
    """The goal: no less than this, in the row's unit."""
    return replace(row, goal=f"≥ {value:g} {row.unit}", met=row.median >= value)


def at_most(row: Row, value: float) -> Row:
    """The goal: no more than this, in the row's unit."""
    return replace(row, goal=f"≤ {value:g} {row.unit}", met=row.median <= value)


def at_most_above(row: Row, value: float) -> Row:
    """The goal: no more than this above the reference, in the row's unit."""
    above = row.median - statistics.median(row.other)
    return replace(row, goal=f"≤ reference + {value:g} {row.unit}", met=above <= value)


def at_most_ratio(row: Row, ratio: float) -> Row:
    """The goal: no more than this many times the reference."""
    return replace(row, goal=f"≤ {ratio:g} x", met=row.ratio is not None and row.ratio <= ratio)


def alternating(pairs: int, ours: Callable[[], float], other: Callable[[], float]) -> tuple[list[float], list[float]]:
    """A B, B A, A B, …: the values both return. Neither is always the first of its pair."""
    ours_taken, other_taken = [], []
    for pair in range(pairs):
        if pair % 2 == 0:
            ours_taken.append(ours())
        other_taken.append(other())
        if pair % 2:
            ours_taken.append(ours())
    return ours_taken, other_taken


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def table(rows: Iterable[Row]) -> str:
    """The rows as text in columns: median [least–most] of both, the median of the pairs' ratios, the goal."""
    lines = [["what", "ours", "reference", "", "ratio", "goal", ""], *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([padded[0], "  ".join("-" * width for width in widths), *padded[1:]])


def _cells(row: Row) -> list[str]:
    return [
        row.what,
        spread(row.ours, row.unit),
        row.other_what,
        spread(row.other, row.unit),
        spread(row.ratios, "x"),
        row.goal,
        {None: "", True: "met", False: "MISSED"}[row.met],
    ]


def spread(values: Iterable[float], unit: str) -> str:
    """`median [least–most] unit`; empty for nothing."""
    found = sorted(values)
    if not found:
        return ""
    middle, least, most = (_digits(value) for value in (statistics.median(found), found[0], found[-1]))
    return f"{middle} {unit}" if len(found) == 1 else f"{middle} [{least}–{most}] {unit}"


def _digits(value: float) -> str:
    """Three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_json(rows: Iterable[Row], machine: dict[str, object]) -> str:
    measured = [asdict(row) | {"ratios": row.ratios, "ratio": row.ratio} for row in rows]
    return json.dumps({"machine": machine, "rows": measured}, indent=2) + "\n"
