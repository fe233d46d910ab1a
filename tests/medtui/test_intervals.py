"""95 % intervals: against published examples and their own properties."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.protocol import ClassMetrics, Metrics
from engine.contract.status import RunSummary
from medtui.client.intervals import difference, hanley_mcneil, intervals_of, macro_auc, wilson


def test_wilson_is_the_published_example() -> None:
    """81 of 263: Newcombe, Statistics in Medicine 17 (1998), Table I, method 3: 0.2553 to 0.3662."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0 / 20, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_hanley_and_mcneil_is_the_example_worked_by_hand() -> None:
    """Their area of 0.893 with 51 and 58 images: Q1 0.8067, Q2 0.8425, standard error 0.0325."""
    assert hanley_mcneil(0.893, 51, 58) == pytest.approx((0.893 - 1.96 * 0.0325, 0.893 + 1.96 * 0.0325), abs=1e-4)


@given(st.floats(0, 1), st.integers(1, 500), st.integers(1, 500))
def test_an_interval_holds_its_value_and_stays_within_0_and_1(auc: float, positives: int, negatives: int) -> None:
    found = hanley_mcneil(auc, positives, negatives)
    assert found is not None
    assert 0.0 <= found[0] <= auc <= found[1] <= 1.0


def test_the_mean_of_equal_classes_has_the_interval_of_one() -> None:
    assert macro_auc([0.9] * 4, [50] * 4, 200) == pytest.approx(hanley_mcneil(0.9, 50, 150))


def test_the_mean_is_at_most_as_sure_as_its_classes_together() -> None:
    """The conservative bound: at least the error of independent classes, at most that of the worst."""
    aucs, positives, n = [0.8, 0.9, 0.95], [30, 60, 110], 200
    low, high = macro_auc(aucs, positives, n) or (0.0, 0.0)
    half = (high - low) / 2
    halves = [(hi - lo) / 2 for lo, hi in (hanley_mcneil(a, p, n - p) for a, p in zip(aucs, positives, strict=True))]  # type: ignore[misc]
    assert math.sqrt(sum(h * h for h in halves)) / 3 <= half <= max(halves)


@pytest.mark.parametrize(("aucs", "positives"), [([0.9, math.nan], [5, 5]), ([0.9, 0.8], [0, 10]), ([], [])])
def test_what_is_undefined_has_no_interval(aucs: list[float], positives: list[int]) -> None:
    assert macro_auc(aucs, positives, 10) is None
    assert wilson(math.nan, 10) is None and wilson(0.5, 0) is None


def test_a_difference_is_the_published_example() -> None:
    """56 of 70 against 48 of 80: Newcombe, Statistics in Medicine 17 (1998) 873, Table II (a), method 10."""
    first, second = 56 / 70, 48 / 80
    found = difference(second, wilson(second, 80), first, wilson(first, 70))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference(0.5, None, 0.6, (0.5, 0.7)) is None


def _summary(task: str, supports: list[int], **more: object) -> RunSummary:
    rows = [ClassMetrics(name="x", recall=1, precision=1, f1=1, auc=0.893, support=support) for support in supports]
    test = Metrics(auc=0.893, acc=81 / 263, f1=0.5)
    return RunSummary(task=task, images={"test": 263}, per_class=rows, test=test).model_copy(update=more)


def test_a_run_has_the_intervals_of_its_kind_of_task() -> None:
    """Two classes: one AUC, of the second. Several labels an image: no interval of their share."""
    auc, acc = intervals_of(_summary("binary", [58, 51]))
    assert auc == pytest.approx((0.893 - 1.96 * 0.0325, 0.893 + 1.96 * 0.0325), abs=1e-4)
    assert acc == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert intervals_of(_summary("multi_class", [63, 100, 100]))[0] == macro_auc([0.893] * 3, [63, 100, 100], 263)
    auc, acc = intervals_of(_summary("multi_label", [200, 100]))
    assert (auc, acc) == (macro_auc([0.893] * 2, [200, 100], 263), None)


def test_a_run_that_was_not_tested_or_whose_status_is_forged_has_no_intervals() -> None:
    assert intervals_of(_summary("binary", [58, 51], test=None)) == (None, None)
    assert intervals_of(RunSummary()) == (None, None)
    assert intervals_of(_summary("binary", [-5, 51]))[0] is None
    assert intervals_of(_summary("binary", [58, 51], images={"test": -5}))[1] is None
