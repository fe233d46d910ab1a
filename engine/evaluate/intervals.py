"""95 % confidence intervals of the test metrics, from the scores themselves.

The interval of an AUC is every value `t` that its score test does not reject: |auc - t| <= z * sqrt(V(t)). The usual
interval, the AUC with DeLong's standard error on either side (on a logit scale or not), fails where medical test splits
are: of few positives and a good model the AUC is often exactly 1, DeLong's variance is then 0, and coverage falls below
0.5. Here the variance is taken at `t`, as in Wilson's interval and in method 5 of Newcombe (Statistics in Medicine 25,
2006, 559), so it is never 0. How it changes with `t` is taken from two normal distributions of one variance; how large
it is, from the placement values of DeLong, DeLong & Clarke-Pearson (Biometrics 44, 1988, 837), as far as enough images
are out of order to tell.

In simulations with normal scores, AUC 0.8 to 0.99 and 4 positives with 36 negatives up to 114 with 42, 0.94 to 0.965 of
the intervals hold the true AUC; of those of means over 3 to 5 classes 0.945 to 0.975. Scores that are far from normal,
of exponential distributions or with twice the spread in one kind of image, take that down to 0.90 in some cells.
Deterministic: no bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

Interval = tuple[float, float]
# From normal quantiles [..., S] to AUCs [..., S] and the variances [..., S] that their estimates then have
Model = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

Z = 1.959963984540054  # two-sided 95 % of the normal distribution
_NORMAL = NormalDist()
_FAR = 18.0  # a normal quantile beyond every AUC that float64 tells from 0 or 1, from the quantile of any other
_HALVINGS = 45
_PRIOR_DISORDER = 0.3  # images out of order that count for normal scores, besides those that were seen
_PRIOR_IMAGES = 2.0  # images, of a class's rarer kind, that count for the mean of the classes, besides its own
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True)
class Placements:
    """What DeLong's method makes of the scores of K classes, each against the rest; every class has both kinds."""

    auc: np.ndarray  # float64 [K]
    positives: np.ndarray  # int64 [K]
    negatives: np.ndarray  # int64 [K]
    positive_variance: np.ndarray  # float64 [K], of the positives' placement values; 0 of a single one
    negative_variance: np.ndarray  # float64 [K]
    influence: np.ndarray  # float64 [N, K], of each image on each AUC; the squares of a column sum to DeLong's variance


def class_auc_ci95(truth: np.ndarray, scores: np.ndarray) -> list[Interval | None]:
    """Intervals of the AUC of each class against the rest; None where that is undefined.

    truth: bool [N, K]. scores: [N, K].
    """
    defined = _defined(truth, scores)
    placed = placements(truth[:, defined], scores[:, defined])
    found = iter(_accepted(placed.auc, _class_model(placed)))
    return [next(found) if known else None for known in defined]


def mean_auc_ci95(truth: np.ndarray, scores: np.ndarray) -> Interval | None:
    """Interval of the mean AUC over the classes, on the same images; None where the AUC of one is undefined.

    truth: bool [N, K]. scores: [N, K]. Of one class it is that class's own.
    """
    if truth.shape[1] == 0 or not _defined(truth, scores).all():
        return None
    placed = placements(truth, scores)
    (interval,) = _accepted(placed.auc.mean(keepdims=True), _mean_model(placed))
    return interval


def wilson(fraction: float, n: int) -> Interval | None:
    """Interval of a proportion of `n` (Wilson 1927); None where it is undefined."""
    if n <= 0 or not 0.0 <= fraction <= 1.0:
        return None
    centre = fraction + Z * Z / (2 * n)
    spread = Z * math.sqrt(fraction * (1 - fraction) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def placements(truth: np.ndarray, scores: np.ndarray) -> Placements:
    """By ranks (Sun & Xu, IEEE Signal Processing Letters 21, 2014, 1389): a sort per class. Ties count half.

    truth: bool [N, K], both kinds in each class. scores: finite [N, K].
    """
    columns = [_placements(truth[:, k], scores[:, k]) for k in range(truth.shape[1])]
    values = np.stack(columns, axis=1) if columns else np.empty(truth.shape)
    positives, negatives = truth.sum(axis=0), (~truth).sum(axis=0)
    auc = np.where(truth, values, 0.0).sum(axis=0) / positives
    deviation = values - auc
    squares = deviation**2
    freedom = np.maximum(positives - 1, 1), np.maximum(negatives - 1, 1)
    weight = np.where(truth, positives * freedom[0], negatives * freedom[1])
    return Placements(
        auc=auc,
        positives=positives,
        negatives=negatives,
        positive_variance=np.where(truth, squares, 0.0).sum(axis=0) / freedom[0],
        negative_variance=np.where(truth, 0.0, squares).sum(axis=0) / freedom[1],
        influence=deviation / np.sqrt(weight),
    )


def _placements(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """float64 [N]: of a positive the fraction of negatives below it, of a negative that of positives above it."""
    positives, negatives = np.sort(scores[truth]), np.sort(scores[~truth])
    values = np.empty(len(scores))
    values[truth] = _below(negatives, scores[truth])
    values[~truth] = 1.0 - _below(positives, scores[~truth])
    return values


def _below(ordered: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """float64 [M]: the fraction of `ordered` below each score, ties by half."""
    ranks = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return ranks / (2.0 * len(ordered))


def _defined(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """bool [K]"""
    return truth.any(axis=0) & ~truth.all(axis=0) & np.isfinite(scores).all(axis=0)


def _correlation(placed: Placements) -> np.ndarray:
    """float64 [K, K], of the classes' AUCs. A class whose AUC is 1 shows none. A little less than what was found, so
    that classes that seem to cancel each other leave some width."""
    error = np.sqrt((placed.influence**2).sum(axis=0))
    scaled = placed.influence / np.where(error > 0, error, 1.0)
    correlation = scaled.T @ scaled * (1 - 1 / len(scaled))
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _accepted(estimates: np.ndarray, model: Model) -> list[Interval]:
    """Of each estimate [S] the lowest and the highest AUC that its test does not reject, by bisection of both."""
    side = np.array([[1.0], [-1.0]])
    low, high = np.full((2, len(estimates)), -_FAR), np.full((2, len(estimates)), _FAR)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        auc, variance = model(middle)
        rejected = side * (estimates - auc) > Z * np.sqrt(variance)
        below = rejected == (side > 0)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    lower, upper = model(low)[0]
    lower = np.where(estimates > 0, np.minimum(lower, estimates), 0.0)
    upper = np.where(estimates < 1, np.maximum(upper, estimates), 1.0)
    return list(zip(lower.tolist(), upper.tolist(), strict=True))


def _class_model(placed: Placements) -> Model:
    """Every class by itself: S is K."""
    ratios = _ratios(placed)

    def model(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _normal(z), _variance(z, placed, ratios)

    return model


def _mean_model(placed: Placements) -> Model:
    """The mean of all classes: S is 1. The classes move together, by equal steps of the normal quantile, and keep the
    correlations that DeLong's covariance has.

    They start from their own AUCs, those of few images nearer to the mean: an AUC of 1 on four positives says little.
    """
    ratios, correlation, classes = _ratios(placed), _correlation(placed), len(placed.auc)
    known = np.minimum(placed.positives, placed.negatives)
    own = _inside(placed)
    start = _quantile((known * own + _PRIOR_IMAGES * own.mean()) / (known + _PRIOR_IMAGES))

    def model(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = start + z
        error = np.sqrt(_variance(moved, placed, ratios))
        variance = (error @ correlation * error).sum(axis=-1, keepdims=True) / classes**2
        return _normal(moved).mean(axis=-1, keepdims=True), variance

    return model


def _ratios(placed: Placements) -> tuple[np.ndarray, np.ndarray]:
    """Each float64 [K]: the variance that positives bring, and that negatives bring, over that of normal scores.

    Near an AUC of 1 nearly all placement values are equal and say nothing about it. The images that are out of order
    do, about m * (1 - AUC) of m; a ratio of 1 counts like `_PRIOR_DISORDER` more of them, and like one image of each
    kind: a single one shows no variance.
    """
    m, n = placed.positives, placed.negatives
    inside = _inside(placed)
    single, shared = _normal_variance(_quantile(inside))
    disordered = np.minimum(inside, 1 - inside)
    ratios = []
    for count, others, seen in ((m, n, placed.positive_variance), (n, m, placed.negative_variance)):
        expected = (single + (others - 2) * shared) / others  # of a sample variance: placed among few, they vary more
        trust = (count - 1) * disordered / (count * disordered + _PRIOR_DISORDER)
        ratios.append(1 + trust * (seen / expected - 1))
    return ratios[0], ratios[1]


def _variance(z: np.ndarray, placed: Placements, ratios: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """float64 [..., K]: of the estimate of an AUC of Phi(z)."""
    m, n = placed.positives, placed.negatives
    single, shared = _normal_variance(z)
    return (single + ((n - 1) * ratios[0] + (m - 1) * ratios[1]) * shared) / (m * n)


def _inside(placed: Placements) -> np.ndarray:
    """float64 [K]: the AUCs, kept off 0 and 1 by half a pair of images."""
    pairs = placed.positives * placed.negatives
    return (placed.auc * pairs + 0.5) / (pairs + 1)


def _quantile(probabilities: np.ndarray) -> np.ndarray:
    return np.array([_NORMAL.inv_cdf(one) for one in probabilities.tolist()])


def _normal_variance(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each float64 [..., K], of normal scores of one variance with an AUC of Phi(z): the variance of one comparison of
    a positive and a negative, and the covariance of two that share an image.

    That both come out right has the probability Phi(z) - 2 T(z, 1/sqrt(3)), with T of Owen (Annals of Mathematical
    Statistics 27, 1956, 1075), whichever kind of image they share.
    """
    auc, end = _normal(z), 1 / math.sqrt(3)
    x = end * (_NODES + 1) / 2
    owen = (np.exp(-np.multiply.outer(z**2, 1 + x**2) / 2) / (1 + x**2)) @ _WEIGHTS * end / (4 * math.pi)
    single = auc * _normal(-z)
    return single, np.maximum(single - 2 * owen, 0.0)


def _normal(z: np.ndarray) -> np.ndarray:
    """float64 [..., K]: the normal distribution function."""
    return np.array([math.erfc(-one / math.sqrt(2)) / 2 for one in z.ravel().tolist()]).reshape(z.shape)
