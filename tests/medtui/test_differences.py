"""The 95 % interval of a difference: against a published example."""

from __future__ import annotations

import pytest

from medtui.client.intervals import difference


def test_a_difference_is_the_published_example() -> None:
    """56 of 70 against 48 of 80: Newcombe, Statistics in Medicine 17 (1998) 873, Table II (a), method 10.

    Wilson's intervals of both, from their formula: 0.6910 to 0.8774 and 0.4904 to 0.7005.
    """
    found = difference(48 / 80, (0.49042, 0.70049), 56 / 70, (0.69177, 0.87693))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-4)


def test_a_difference_to_a_run_whose_interval_is_unknown_has_none() -> None:
    assert difference(0.5, None, 0.6, (0.5, 0.7)) is None
    assert difference(0.5, (0.4, 0.6), 0.6, None) is None
