"""95 % intervals that follow from published numbers alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.contract.status import RunSummary

Interval = tuple[float, float]
Z = 1.959963984540054  # two-sided 95 % of the normal distribution


def intervals_of(summary: RunSummary) -> tuple[Interval | None, Interval | None]:
    """Those of a run's test AUC and ACC; None where there is none, or where it is undefined.

    Two classes have one AUC, more have the mean of one a class. The labels of one image are not independent, so the
    share of right labels has no interval.
    """
    test, n = summary.test, summary.images.get("test", 0)
    if test is None or summary.task is None:
        return None, None
    rows, several_labels = summary.per_class, summary.task == "multi_label"
    try:
        if len(rows) == 2 and not several_labels:
            auc = hanley_mcneil(test.auc, rows[1].support, rows[0].support)
        else:
            auc = macro_auc([row.auc for row in rows], [row.support for row in rows], n)
        return auc, None if several_labels else wilson(test.acc, n)
    except OverflowError:  # a forged status may hold any number
        return None, None


def difference(a: float, of_a: Interval | None, b: float, of_b: Interval | None) -> Interval | None:
    """Interval of `b - a` for independent samples, from those of both (Newcombe 1998, method 10); None without them.

    Two runs that were tested on the same images differ by less than this allows for: a conservative interval.
    """
    if of_a is None or of_b is None:
        return None
    down = math.hypot(b - of_b[0], of_a[1] - a)
    up = math.hypot(of_b[1] - b, a - of_a[0])
    return b - a - down, b - a + up


def wilson(share: float, n: int) -> Interval | None:
    """Interval of a proportion (Wilson 1927); None where it is undefined."""
    if n <= 0 or not 0.0 <= share <= 1.0:
        return None
    centre = share + Z * Z / (2 * n)
    spread = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def hanley_mcneil(auc: float, positives: int, negatives: int) -> Interval | None:
    """Interval of a binary AUC (Hanley & McNeil 1982); None where it is undefined."""
    error = _auc_error(auc, positives, negatives)
    return None if error is None else _around(auc, error)


def macro_auc(aucs: Sequence[float], positives: Sequence[int], n: int) -> Interval | None:
    """Interval of the mean of one-against-the-rest AUCs on the same `n` images; None where one is undefined.

    The standard error of a mean is at most the mean of the standard errors (Hanley & McNeil 1982 for each), whatever
    their correlations, which are not known here: a conservative interval.
    """
    errors = [_auc_error(auc, positive, n - positive) for auc, positive in zip(aucs, positives, strict=True)]
    known = [error for error in errors if error is not None]
    if not errors or len(known) < len(errors):
        return None
    return _around(sum(aucs) / len(aucs), sum(known) / len(known))


def _auc_error(auc: float, positives: int, negatives: int) -> float | None:
    """Standard error of a binary AUC."""
    if positives <= 0 or negatives <= 0 or not 0.0 <= auc <= 1.0:
        return None
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc * auc) + (negatives - 1) * (q2 - auc * auc)
    return math.sqrt(max(0.0, variance) / (positives * negatives))


def _around(value: float, error: float) -> Interval:
    return max(0.0, value - Z * error), min(1.0, value + Z * error)
