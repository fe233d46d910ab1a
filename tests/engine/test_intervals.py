"""95 % intervals of AUC and ACC: DeLong's variance by its definition, and how many intervals hold the true value."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from engine.contract.data.datasets import TaskKind
from engine.evaluate.intervals import class_auc_ci95, mean_auc_ci95, placements, wilson
from engine.evaluate.metrics import evaluate, evaluate_with_ci95

COUNTS = [(114, 42), (21, 57), (4, 36), (42, 114), (57, 21), (36, 4)]  # positives, negatives
AUCS = [0.8, 0.9, 0.95, 0.99]


def simulations(counts: tuple[int, int]) -> int:
    """More where they are cheap and the coverage is nearest to the bounds."""
    return 3000 if min(counts) < 10 else 1000


def one_class(positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """truth bool [m + n, S] and scores [m + n, S] of S data sets, each as if it were a class."""
    scores = np.concatenate([positives, negatives])
    truth = np.zeros(scores.shape, dtype=bool)
    truth[: len(positives)] = True
    return truth, scores


# ---- DeLong's variance --------------------------------------------------------------------------------------------


def brute_force(positives: np.ndarray, negatives: np.ndarray) -> tuple[float, float]:
    """AUC and DeLong's variance by their definition: every pair of a positive and a negative."""
    wins = [[1.0 if p > n else 0.5 if p == n else 0.0 for n in negatives] for p in positives]
    rows = [sum(row) / len(row) for row in wins]
    columns = [sum(column) / len(column) for column in zip(*wins, strict=True)]
    auc = sum(rows) / len(rows)

    def sample_variance(values: list[float]) -> float:
        return sum((value - auc) ** 2 for value in values) / (len(values) - 1)

    return auc, sample_variance(rows) / len(rows) + sample_variance(columns) / len(columns)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(2, 12), st.booleans())
def test_delong_s_variance_is_its_definition_ties_included(seed: int, m: int, n: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    positives, negatives = random.normal(1, 1, m), random.normal(0, 1, n)
    if ties:
        positives, negatives = positives.round(), negatives.round()
    auc, variance = brute_force(positives, negatives)
    found = placements(*one_class(positives[:, None], negatives[:, None]))
    assert found.auc[0] == pytest.approx(auc)
    assert found.positive_variance[0] / m + found.negative_variance[0] / n == pytest.approx(variance)
    assert (found.influence**2).sum() == pytest.approx(variance)


def test_delong_s_variance_is_the_one_worked_by_hand() -> None:
    """Positives 3, 5, 1; negatives 2, 0. Of 6 pairs 5 are in order. The positives' placement values are 1, 1, 1/2 with
    sample variance 1/12; the negatives' are 2/3, 1 with 1/18; so 1/36 + 1/36."""
    found = placements(*one_class(np.array([[3.0], [5.0], [1.0]]), np.array([[2.0], [0.0]])))
    assert found.auc[0] == pytest.approx(5 / 6)
    assert (found.positive_variance[0], found.negative_variance[0]) == (pytest.approx(1 / 12), pytest.approx(1 / 18))
    assert (found.influence**2).sum() == pytest.approx(1 / 18)


# ---- the score test, by its definition with SciPy's normal distributions -----------------------------------------


def shared(auc: float) -> float:
    """Covariance of two comparisons that share an image: both differences are normal, with a correlation of 1/2."""
    z = norm.ppf(auc)
    return float(multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]]).cdf([z, z])) - auc**2


def variance_at(auc: float, truth: np.ndarray, scores: np.ndarray) -> float:
    """Of the estimate of this AUC on the images of one class [N].

    The sample variance of m placement values among n images is (auc (1 - auc) + (n - 2) shared) / n for normal scores.
    What was seen over that is believed as far as images are out of order: their number against 0.3 more.
    """
    positives, negatives = scores[truth], scores[~truth]
    m, n = len(positives), len(negatives)
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    kept_off = (wins.sum() + 0.5) / (m * n + 1)
    disorder, ratios = min(kept_off, 1 - kept_off), []
    for count, others, values in ((m, n, wins.mean(axis=1)), (n, m, wins.mean(axis=0))):
        normal = (kept_off * (1 - kept_off) + (others - 2) * shared(kept_off)) / others
        trust = (count - 1) * disorder / (count * disorder + 0.3)
        ratios.append(1 + trust * (values.var(ddof=1) / normal - 1))
    return (auc * (1 - auc) + ((n - 1) * ratios[0] + (m - 1) * ratios[1]) * shared(auc)) / (m * n)


@pytest.mark.parametrize("counts", [(3, 5), (12, 7), (20, 60)], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_the_ends_of_an_interval_are_1_96_standard_errors_from_the_estimate(counts: tuple[int, int], seed: int) -> None:
    """By the standard error that an AUC at that very end has."""
    random = np.random.default_rng(seed)
    truth, scores = one_class(random.normal(1, 2, (counts[0], 1)), random.normal(0, 1, (counts[1], 1)))
    auc, _ = brute_force(scores[truth], scores[~truth])
    (interval,) = class_auc_ci95(truth, scores)
    ends = [end for end in interval or () if 0 < end < 1]
    assert len(ends) == (2 if 0 < auc < 1 else 1)
    for end in ends:
        error = math.sqrt(variance_at(end, truth[:, 0], scores[:, 0]))
        assert abs(auc - end) == pytest.approx(norm.ppf(0.975) * error, rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_so_are_those_of_a_mean_whose_classes_move_together(seed: int) -> None:
    """From their own AUCs, those of few images drawn to the mean as if by 2 images of it; with DeLong's correlations,
    taken down by one image's part."""
    random = np.random.default_rng(seed)
    counts, centres = np.array([4, 9, 15]), np.array([0.6, 1.0, 1.6])
    truth = np.repeat(np.eye(3, dtype=bool), counts, axis=0)
    scores = random.normal(0, 1, truth.shape) + truth * centres
    known = np.minimum(counts, counts.sum() - counts)
    aucs = np.array([brute_force(scores[own, k], scores[~own, k])[0] for k, own in enumerate(truth.T)])
    pairs = counts * (counts.sum() - counts)
    own = (aucs * pairs + 0.5) / (pairs + 1)
    start = norm.ppf((known * own + 2 * own.mean()) / (known + 2))
    influence = placements(truth, scores).influence  # its squares and their sums are DeLong's: see above
    error = np.sqrt((influence**2).sum(axis=0))
    correlation = (influence.T @ influence) / np.outer(error, error) * (1 - 1 / counts.sum())
    np.fill_diagonal(correlation, 1.0)
    for end in mean_auc_ci95(truth, scores) or ():
        moved = start + brentq(lambda z, end=end: norm.cdf(start + z).mean() - end, -9, 9)
        errors = np.sqrt([variance_at(auc, truth[:, k], scores[:, k]) for k, auc in enumerate(norm.cdf(moved))])
        expected = norm.ppf(0.975) * math.sqrt(errors @ correlation @ errors) / 3
        assert abs(aucs.mean() - end) == pytest.approx(expected, rel=1e-4)


# ---- coverage: how many intervals hold the true AUC -----------------------------------------------------------------


def normal_scores(random: np.random.Generator, auc: float, counts: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    distance = NormalDist().inv_cdf(auc) * math.sqrt(2)
    positives, negatives = ((count, simulations(counts)) for count in counts)
    return one_class(random.normal(distance, 1, positives), random.normal(0, 1, negatives))


def logistic_scores(random: np.random.Generator, auc: float, counts: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Logits with heavier tails; their distance by bisection of the AUC's formula (d - 1 + e^-d) / (1 - e^-d)^2 …"""
    low, high = 1e-3, 50.0
    for _ in range(100):
        d = (low + high) / 2
        reached = 1 - ((d - 1) * math.exp(d) + 1) / (math.exp(d) - 1) ** 2
        low, high = (d, high) if reached < auc else (low, d)
    positives, negatives = ((count, simulations(counts)) for count in counts)
    return one_class(random.logistic(low, 1, positives), random.logistic(0, 1, negatives))


def coverage(truth: np.ndarray, scores: np.ndarray, auc: float) -> float:
    intervals = np.array(class_auc_ci95(truth, scores))
    return float(np.mean((intervals[:, 0] <= auc) & (auc <= intervals[:, 1])))


@pytest.mark.parametrize("auc", AUCS)
@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.everyday("(114, 42)-0.9", "(21, 57)-0.8", "(4, 36)-0.99", "(36, 4)-0.8")
def test_of_the_intervals_of_normal_scores_95_percent_hold_the_true_auc(counts: tuple[int, int], auc: float) -> None:
    random = np.random.default_rng([1, *counts, round(100 * auc)])
    assert 0.93 <= coverage(*normal_scores(random, auc, counts), auc) <= 0.97


@pytest.mark.parametrize("auc", AUCS)
@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_scores_with_heavier_tails_take_little_of_that(counts: tuple[int, int], auc: float) -> None:
    random = np.random.default_rng([2, *counts, round(100 * auc)])
    assert 0.92 <= coverage(*logistic_scores(random, auc, counts), auc) <= 0.98


@pytest.mark.parametrize(
    ("counts", "distance"),
    [((36, 57, 63), 1.5), ((10, 30, 60), 2.0), ((4, 36, 40), 2.0), ((4, 10, 20, 40), 2.5), ((5, 10, 20, 40, 60), 2.0)],
    ids=str,
)
@pytest.mark.everyday("(36, 57, 63)-1.5", "(4, 36, 40)-2.0")
def test_of_the_intervals_of_a_mean_over_classes_95_percent_hold_the_true_mean(
    counts: tuple[int, ...], distance: float
) -> None:
    """Softmax scores. The true mean is that of the estimates, which have no bias."""
    random = np.random.default_rng([3, *counts])
    truth = np.repeat(np.arange(len(counts)), counts)[:, None] == np.arange(len(counts))
    estimates, intervals = [], []
    for _ in range(300):
        scores = np.exp(random.normal(0, 1, truth.shape) + distance * truth)
        scores /= scores.sum(axis=1, keepdims=True)
        estimates.append(placements(truth, scores).auc.mean())
        intervals.append(mean_auc_ci95(truth, scores))
    mean, (low, high) = np.mean(estimates), np.array(intervals).T
    assert 0.92 <= np.mean((low <= mean) & (mean <= high)) <= 0.98


# ---- properties ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.floats(-1, 9), st.booleans())
def test_an_interval_holds_its_estimate_has_a_width_and_stays_within_0_and_1(
    seed: int, m: int, n: int, distance: float, ties: bool
) -> None:
    random = np.random.default_rng(seed)
    positives, negatives = random.normal(distance, 1, (m, 3)), random.normal(0, 1, (n, 3))
    if ties:
        positives, negatives = positives.round(), negatives.round()
    truth, scores = one_class(positives, negatives)
    aucs = placements(truth, scores).auc
    found = [*zip(aucs, class_auc_ci95(truth, scores), strict=True), (aucs.mean(), mean_auc_ci95(truth, scores))]
    for auc, interval in found:
        assert interval is not None
        low, high = interval
        assert 0.0 <= low <= auc <= high <= 1.0
        assert high - low > 1e-3


def test_the_interval_of_a_perfect_auc_is_wide_where_images_are_few() -> None:
    """4 of 36 that could not be better may still be of a model whose AUC is 0.8."""
    few, many = (class_auc_ci95(*one_class(np.ones((m, 1)), np.zeros((n, 1))))[0] for m, n in ((4, 36), (400, 3600)))
    assert few is not None and few[0] < 0.8 and few[1] == 1.0
    assert many is not None and 0.99 < many[0] < 1.0 and many[1] == 1.0


def test_classes_that_cancel_each_other_leave_some_width() -> None:
    """One class's scores are the other's, turned round: the mean is 0.5 in every sample."""
    random = np.random.default_rng(4)
    truth, scores = one_class(random.normal(1, 1, (20, 1)), random.normal(0, 1, (20, 1)))
    low, high = mean_auc_ci95(np.hstack([truth, truth]), np.hstack([scores, -scores])) or (0.5, 0.5)
    assert low < 0.5 < high


def test_better_and_worse_are_mirrored() -> None:
    random = np.random.default_rng(5)
    truth, scores = one_class(random.normal(1, 1, (21, 1)), random.normal(0, 1, (57, 1)))
    (low, high), (lower, higher) = class_auc_ci95(truth, scores)[0], class_auc_ci95(truth, -scores)[0]  # type: ignore[misc]
    assert (1 - higher, 1 - lower) == (pytest.approx(low), pytest.approx(high))


def test_the_mean_of_one_class_has_the_interval_of_that_class_and_of_equal_ones_too() -> None:
    random = np.random.default_rng(6)
    truth, scores = one_class(random.normal(1, 1, (21, 1)), random.normal(0, 1, (57, 1)))
    (alone,) = class_auc_ci95(truth, scores)
    assert mean_auc_ci95(truth, scores) == pytest.approx(alone)
    same = mean_auc_ci95(np.hstack([truth] * 3), np.hstack([scores] * 3))
    assert same == pytest.approx(alone, abs=2e-3)


def test_the_order_of_the_images_and_the_scale_of_the_scores_change_nothing() -> None:
    random = np.random.default_rng(7)
    truth, scores = one_class(random.normal(1, 1, (21, 4)), random.normal(0, 1, (57, 4)))
    order = random.permutation(len(truth))
    assert class_auc_ci95(truth[order], np.exp(scores[order])) == [
        pytest.approx(interval) for interval in class_auc_ci95(truth, scores)
    ]


# ---- of a split ---------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c")


def split(task: TaskKind) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Labels, scores, names; 60 images."""
    random = np.random.default_rng(8)
    names = NAMES[:2] if task == "binary" else NAMES
    labels = random.integers(0, len(names), 60)
    if task == "multi_label":
        labels = random.integers(0, 2, (60, 3))
        return labels, (random.random((60, 3)) + 0.5 * labels) / 1.5, names
    scores = random.random((60, len(names))) + 0.3 * (labels[:, None] == np.arange(len(names)))
    return labels, scores / scores.sum(axis=1, keepdims=True), names


@pytest.mark.parametrize("task", ["binary", "multi_class", "multi_label"])
def test_a_split_evaluated_with_intervals_has_the_same_metrics_and_their_intervals(task: TaskKind) -> None:
    """The labels of one image are not independent, so the accuracy of a multi-label set has none."""
    labels, scores, names = split(task)
    plain, found = evaluate(labels, scores, task, names), evaluate_with_ci95(labels, scores, task, names)
    without = found.metrics.model_copy(update={"auc_ci95": None, "acc_ci95": None})
    assert without == plain.metrics and plain.metrics.auc_ci95 is None
    assert found.metrics.auc_ci95 is not None
    assert found.metrics.auc_ci95[0] < found.metrics.auc < found.metrics.auc_ci95[1]
    assert all(row.auc_ci95 and row.auc_ci95[0] <= row.auc <= row.auc_ci95[1] for row in found.per_class)
    assert (found.metrics.acc_ci95 is None) == (task == "multi_label")
    if task == "binary":
        assert {row.auc_ci95 for row in found.per_class} == {found.metrics.auc_ci95}


def test_what_is_undefined_has_no_interval() -> None:
    labels, scores, names = split("multi_class")
    labels[labels == 2] = 1  # an absent class: the mean of the others is no mean over the classes
    found = evaluate_with_ci95(labels, scores, "multi_class", names)
    assert found.metrics.auc_ci95 is None and found.metrics.acc_ci95 is not None
    assert [row.auc_ci95 is None for row in found.per_class] == [False, False, True]
    for task in ("binary", "multi_class", "multi_label"):
        labels, scores, names = split(task)
        scores[0, 0] = math.nan
        assert evaluate_with_ci95(labels, scores, task, names).metrics.auc_ci95 is None
        alike = evaluate_with_ci95(np.zeros_like(labels), split(task)[1], task, names)
        assert alike.metrics.auc_ci95 is None and {row.auc_ci95 for row in alike.per_class} == {None}


def test_wilson_is_the_published_example() -> None:
    """81 of 263: Newcombe, Statistics in Medicine 17 (1998), Table I, method 3: 0.2553 to 0.3662."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0 / 20, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(math.nan, 10) is None and wilson(0.5, 0) is None
