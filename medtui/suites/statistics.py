"""Statistics over the seeds of a group, by the standard library: mean, standard deviation, intervals, a paired test.

The interval of a mean is Student's: mean ± t(0.975, n - 1) · sd / √n. Two groups are compared by the paired t-test
(two-sided) over the seeds that both have; fewer than `FEWEST_PAIRS` pairs decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FEWEST_PAIRS = 3
LEVEL = 0.05  # of the paired test
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """Of n values, none of them NaN. None: n is too small to know."""

    n: int
    mean: float | None
    sd: float | None  # of a sample: by n - 1
    ci95: tuple[float, float] | None  # of the mean


def summarise(values: Sequence[float], bounds: tuple[float, float] = (-math.inf, math.inf)) -> Summary:
    """One value has a mean, and neither deviation nor interval. `bounds`: of what is measured, where intervals end."""
    n = len(values)
    if n == 0:
        return Summary(0, None, None, None)
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(1, mean, None, None)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = t_quantile((1 + CONFIDENCE) / 2, n - 1) * sd / math.sqrt(n)
    return Summary(n, mean, sd, (max(bounds[0], mean - half), min(bounds[1], mean + half)))


def paired_p(one: Mapping[int, float], other: Mapping[int, float]) -> float | None:
    """Two-sided p of the paired t-test over the seeds of both; None for fewer than FEWEST_PAIRS."""
    differences = [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]
    found = summarise(differences)
    if found.n < FEWEST_PAIRS or found.mean is None or found.sd is None:
        return None
    if found.sd == 0.0:
        return 1.0 if found.mean == 0.0 else 0.0
    return t_two_sided(found.mean / (found.sd / math.sqrt(found.n)), found.n - 1)


def is_better(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    """Is `one` higher than `other`, by more than chance over the common seeds?"""
    p = paired_p(one, other)
    common = one.keys() & other.keys()
    return p is not None and p < LEVEL and math.fsum(one[seed] - other[seed] for seed in common) > 0


# ---- Student's t ----------------------------------------------------------------------------------------------------


def t_two_sided(t: float, df: int) -> float:
    """P(|T| >= |t|) with `df` degrees of freedom."""
    return incomplete_beta(df / 2, 0.5, df / (df + t * t))


def t_quantile(p: float, df: int) -> float:
    """The t with P(T <= t) = p, for 0.5 <= p < 1, by bisection."""
    low, high = 0.0, 1.0
    while 1 - t_two_sided(high, df) / 2 < p:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if 1 - t_two_sided(middle, df) / 2 < p else (low, middle)
    return (low + high) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (Numerical Recipes, 6.4)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    front = math.exp(log_front)
    if x < (a + 1) / (a + b + 2):
        return front * _continued_fraction(a, b, x) / a
    return 1.0 - front * _continued_fraction(b, a, 1.0 - x) / b


def _continued_fraction(a: float, b: float, x: float) -> float:
    """By Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    result = d
    for m in range(1, 1000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + numerator * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + numerator / c
            c = c if abs(c) > tiny else tiny
            result *= d * c
        if abs(d * c - 1.0) < 1e-16:
            break
    return result
