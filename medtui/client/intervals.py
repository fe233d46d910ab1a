"""95 % intervals that follow from published numbers alone."""

from __future__ import annotations

import math

Z = 1.959963984540054  # two-sided 95 % of the normal distribution


def wilson(share: float, n: int) -> tuple[float, float] | None:
    """Interval of a proportion (Wilson 1927); None where it is undefined."""
    if n <= 0 or not 0.0 <= share <= 1.0:
        return None
    centre = share + Z * Z / (2 * n)
    spread = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def hanley_mcneil(auc: float, positives: int, negatives: int) -> tuple[float, float] | None:
    """Interval of a binary AUC (Hanley & McNeil 1982); None where it is undefined."""
    if positives <= 0 or negatives <= 0 or not 0.0 <= auc <= 1.0:
        return None
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc * auc) + (negatives - 1) * (q2 - auc * auc)
    spread = Z * math.sqrt(max(0.0, variance) / (positives * negatives))
    return max(0.0, auc - spread), min(1.0, auc + spread)
