"""Scales of plots: limits that a few outliers do not decide, and round ticks. Functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

ROBUST_FROM = 20  # values; of fewer each may matter
TAIL = 0.05  # of the values at each end, which alone do not decide the limits
REACH = 1.5  # how far a limit may lie beyond the rest, in widths of the rest


def robust_limits(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest value, unless a few lie far beyond all others: then a bound that leaves the others room.

    The bound is Tukey's fence with the 5th and 95th percentile in place of the quartiles: curves that fall steeply at
    their beginning stay within it, and a single spike does not flatten everything else.
    """
    ordered = sorted(values)
    if len(ordered) < ROBUST_FROM:
        return ordered[0], ordered[-1]
    cut = math.ceil(TAIL * (len(ordered) - 1))
    low, high = ordered[cut], ordered[-1 - cut]
    width = high - low
    if width <= 0:
        return ordered[0], ordered[-1]
    return max(ordered[0], low - REACH * width), min(ordered[-1], high + REACH * width)


def round_ticks(low: float, high: float, most: int, *, integers: bool = False) -> tuple[list[float], list[str]]:
    """Multiples of 1, 2 or 5 times a power of ten between two bounds, and their labels; integers where required.

    At most so many, unless only one would be left: one is not a scale.
    """
    power = 10.0 ** max(0 if integers else -math.inf, math.floor(math.log10((high - low) / most)))
    found: list[float] = []
    step = power
    for factor in (1, 2, 5, 10, 20):
        numbers = range(math.ceil(low / (factor * power) - 1e-9), math.floor(high / (factor * power) + 1e-9) + 1)
        if found and len(numbers) < 2:
            break
        step = factor * power
        found = [number * step for number in numbers]
        if len(found) <= most:
            break
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    plain = integers or (digits <= 8 and 1e-4 <= max(map(abs, found)) < 1e6)
    return found, [f"{tick:.{digits}f}" if plain else f"{tick:.4g}" for tick in found]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Logarithms of round numbers between two, 1, 2 and 5 times powers of ten where there are few; else the ends."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [tick for power in powers for digit in digits if low <= (tick := power + math.log10(digit)) <= high]
        if 2 <= len(found) <= most:
            return found
    if len(found) > most:
        return found[:: -(-len(found) // most)]
    return [low, high]
