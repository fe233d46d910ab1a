"""Statistics over seeds, against SciPy and by hand."""

from __future__ import annotations

import math
from random import Random

import pytest
from scipy import special, stats

from medtui.suites.statistics import incomplete_beta, is_better, paired_p, summarise, t_quantile, t_two_sided


def test_mean_deviation_and_interval_of_three_values_by_hand() -> None:
    """2, 4, 9: mean 5, deviations -3, -1, 4, so sd √(26 / 2); with two degrees of freedom t is in closed form."""
    found = summarise([2.0, 4.0, 9.0])
    half = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025)) * math.sqrt(13) / math.sqrt(3)
    assert found.mean == 5.0 and found.sd == pytest.approx(math.sqrt(13), rel=1e-15)
    assert found.ci95 == pytest.approx((5 - half, 5 + half), rel=1e-12)


def test_an_interval_of_a_fraction_does_not_leave_0_to_1() -> None:
    """0.9 and 1.0: mean 0.95, sd √0.005, and t(0.975, 1) = tan(0.475 π) = 12.7: 0.95 ± 0.635 by the formula."""
    half = math.tan(0.475 * math.pi) * math.sqrt(0.005) / math.sqrt(2)
    assert summarise([0.9, 1.0]).ci95 == pytest.approx((0.95 - half, 0.95 + half))
    assert summarise([0.9, 1.0], (0.0, 1.0)).ci95 == pytest.approx((0.95 - half, 1.0))
    assert summarise([0.0, 0.1], (0.0, 1.0)).ci95 == pytest.approx((0.0, 0.05 + half))


def test_one_value_claims_neither_deviation_nor_interval() -> None:
    found = summarise([0.9])
    assert (found.n, found.mean, found.sd, found.ci95) == (1, 0.9, None, None)
    assert summarise([]).mean is None


@pytest.mark.parametrize("df", [1, 2, 3, 4, 9, 29, 200])
def test_students_t_is_scipys(df: int) -> None:
    for p in (0.5, 0.6, 0.9, 0.975, 0.995, 0.9999):
        assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-9, abs=1e-9)
    for t in (-50.0, -3.0, -0.1, 0.0, 0.5, 1.0, 2.2, 7.0, 100.0):
        assert t_two_sided(t, df) == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-9)


def test_the_incomplete_beta_function_is_scipys() -> None:
    random = Random(3)
    for _ in range(300):
        a, b, x = random.uniform(0.1, 60), random.uniform(0.1, 60), random.random()
        assert incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-8, abs=1e-12)


def test_intervals_and_paired_tests_are_scipys() -> None:
    random = Random(5)
    for n in (3, 4, 5, 10, 30):
        one = [random.gauss(0.9, 0.01) for _ in range(n)]
        other = [value + random.gauss(0.004, 0.005) for value in one]
        found = summarise(one)
        assert found.ci95 == pytest.approx(
            stats.t.interval(0.95, n - 1, loc=found.mean, scale=stats.sem(one)), rel=1e-9
        )
        p = paired_p(dict(enumerate(one)), dict(enumerate(other)))
        assert p == pytest.approx(stats.ttest_rel(one, other).pvalue, rel=1e-8)


def test_only_common_seeds_count_and_fewer_than_three_decide_nothing() -> None:
    one = {1: 0.90, 2: 0.91, 3: 0.93, 8: 0.1}
    other = {1: 0.80, 2: 0.815, 3: 0.82, 9: 0.99}
    expected = stats.ttest_rel([0.90, 0.91, 0.93], [0.80, 0.815, 0.82]).pvalue
    assert paired_p(one, other) == pytest.approx(expected, rel=1e-9)
    assert is_better(one, other) and not is_better(other, one)
    assert paired_p({1: 0.9, 2: 0.8}, {1: 0.1, 2: 0.2}) is None
    assert not is_better({1: 0.9, 2: 0.8}, {1: 0.1, 2: 0.2})


def test_equal_values_are_no_difference() -> None:
    same = dict.fromkeys(range(5), 0.5)
    assert paired_p(same, same) == 1.0
    assert not is_better(same, same)
