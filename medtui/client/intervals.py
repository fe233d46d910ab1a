"""The 95 % confidence interval of a difference, from those of both sides. Those of a run are computed by the engine."""

from __future__ import annotations

import math

from engine.contract.wire.protocol import Ci95


def difference(a: float, of_a: Ci95 | None, b: float, of_b: Ci95 | None) -> Ci95 | None:
    """Interval of `b - a` for independent samples, from those of both (Newcombe 1998, method 10); None without them.

    Two runs that were tested on the same images differ by less than this allows for: a conservative interval.
    """
    if of_a is None or of_b is None:
        return None
    down = math.hypot(b - of_b[0], of_a[1] - a)
    up = math.hypot(of_b[1] - b, a - of_a[0])
    return b - a - down, b - a + up
