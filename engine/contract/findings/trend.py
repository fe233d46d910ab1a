"""Does a noisy series rise or fall? Without assuming a shape, and without being moved by a few outliers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

SHORTEST = 6  # values; fewer cannot reach `SURE`, however they lie
SURE = 2.33  # standard deviations: a series without a trend passes in 1 of 100 cases
POINTS = 60  # that a longer series is averaged to: the test looks at every pair


def rises(values: Sequence[float]) -> bool:
    return _mann_kendall(_blocks(values)) >= SURE


def falls(values: Sequence[float]) -> bool:
    return _mann_kendall(_blocks(values)) <= -SURE


def mean(values: Iterable[float]) -> float:
    """NaN of nothing."""
    kept = list(values)
    return sum(kept) / len(kept) if kept else math.nan


def _mann_kendall(values: Sequence[float]) -> float:
    """The test's z. Mann 1945: pairs in rising order less those in falling order, over their deviation by chance.

    Ties are counted as in a series without them, which is the careful side.
    """
    n = len(values)
    if n < SHORTEST:
        return 0.0
    s = sum((second > first) - (second < first) for at, first in enumerate(values) for second in values[at + 1 :])
    return (s - (s > 0) + (s < 0)) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18)


def _blocks(values: Sequence[float]) -> list[float]:
    """At most `POINTS` means of neighbours."""
    width = max(1, math.ceil(len(values) / POINTS))
    return [mean(values[at : at + width]) for at in range(0, len(values), width)]
