"""Plots: nothing in a series crashes one, non-finite values are not hidden, and they are fast."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from statistics import median

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medtui.console.widgets.plot import (
    PlotSpec,
    Point,
    Series,
    bucketed,
    format_cursor,
    plot_text,
    round_ticks,
    smoothed,
)

NAN, INF = math.nan, math.inf
VALUES = st.floats(allow_nan=True, allow_infinity=True)


def plot(ys: list[float], **more: object) -> str:
    xs = [float(x) for x in range(len(ys))]
    return plot_text(PlotSpec((Series("one", xs, ys, 0),), **more), 60, 12, dark=True).plain  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, max_size=50), st.booleans(), st.integers(10, 130), st.integers(3, 40))
def test_no_series_crashes_a_plot(ys: list[float], log: bool, width: int, height: int) -> None:
    spec = PlotSpec((Series("one", [float(x) for x in range(len(ys))], ys, 0),), log=log)
    lines = plot_text(spec, width, height, dark=True).plain.split("\n")
    assert len(lines) <= height


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e16, 1e16), VALUES), max_size=20), st.booleans())
@example([(0.0, 2.4e102), (0.0, 4.6e-197)], False)  # a marked point far beyond the scale
def test_positions_in_any_order_crash_no_plot(values: list[tuple[float, float]], log: bool) -> None:
    xs, ys = tuple(x for x, _ in values), tuple(y for _, y in values)
    points = tuple(Point(x, y, "★", "best") for x, y in values[:1])
    spec = PlotSpec((Series("one", xs, ys, 0),), points, log=log, cursor=xs[0] if xs else None)
    assert len(plot_text(spec, 60, 12, dark=True).plain.split("\n")) <= 12


@pytest.mark.parametrize("columns", ["40", "", "500"])
def test_a_plot_is_as_wide_as_its_room_whatever_the_environment_says(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    spec = PlotSpec((Series("one", (0.0, 1.0), (0.0, 1.0), 0),))
    lines = plot_text(spec, 190, 30, dark=True).plain.split("\n")
    assert max(map(len, lines)) == 190 and len(lines) == 30


def test_non_finite_values_are_counted_and_marked() -> None:
    text = plot([1.0, NAN, 2.0, INF, 3.0, -INF])
    assert "✗3 non-finite" in text
    assert text.count("x") >= 3


def test_a_log_scale_leaves_zeros_out_and_notes_it() -> None:
    text = plot([0.0, 1.0, 10.0, -1.0, 100.0], log=True)
    assert "✗2 not shown" in text and "log" in text


def test_a_lone_point_between_two_nans_is_drawn() -> None:
    assert "●" in plot([1.0, NAN, 2.0, NAN, 3.0])


def test_a_plot_of_nans_only_is_labelled() -> None:
    assert "every value is NaN or infinite" in plot([NAN, NAN])


def test_a_plot_without_values_is_labelled() -> None:
    assert "no values yet" in plot([])


def test_a_constant_and_a_single_value_have_a_scale() -> None:
    assert "0.5" in plot([0.5])
    assert "0.5" in plot([0.5] * 20)


@pytest.mark.parametrize(
    ("low", "high", "most", "labels"),
    [
        (1, 300, 5, ["100", "200", "300"]),
        (0.66, 0.97, 4, ["0.7", "0.8", "0.9"]),
        (0, 1, 6, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-1, 1, 3, ["-1", "0", "1"]),
        (0.63, 0.77, 2, ["0.65", "0.70", "0.75"]),  # one would be no scale
        (1e-7, 2e-7, 4, ["1e-07", "1.5e-07", "2e-07"]),
        (0, 120e6, 5, ["0", "5e+07", "1e+08"]),
    ],
)
def test_an_axis_is_labelled_with_round_numbers(low: float, high: float, most: int, labels: list[str]) -> None:
    ticks, words = round_ticks(low, high, most)
    assert words == labels
    assert ticks == pytest.approx([float(word) for word in words])


def test_the_values_at_the_cursor_are_read_in_a_narrow_plot_too() -> None:
    series = tuple(Series(name, (1.0, 2.0), (0.25, 0.75), n) for n, name in enumerate(("train", "val")))
    assert (
        "step 2: train 0.7500 val 0.7500"
        in plot_text(PlotSpec(series, x_title="step", cursor=2.0), 40, 10, dark=True).plain
    )


@pytest.mark.parametrize(
    ("cursor", "words"),
    [
        (16.0, "epoch 16: val 0.1600"),  # A was over 14 epochs before, B after one
        (2.0, "epoch 2: val 0.0200 A 0.7000"),
        (1.0, "epoch 1: val 0.0100 A 0.6000 B 0.5000"),
        (2.4, "epoch 2.4: val 0.0200 A 0.7000"),
    ],
)
def test_a_cursor_names_only_the_curves_that_have_a_value_there(cursor: float, words: str) -> None:
    epochs = tuple(float(epoch) for epoch in range(1, 17))
    own = Series("val", epochs, tuple(epoch / 100 for epoch in epochs), 1)
    others = Series("A", (1.0, 2.0), (0.6, 0.7), 2, sign="A"), Series("B", (1.0,), (0.5,), 3, sign="B")
    spec = PlotSpec((own, *others, Series("C", (1.0,), (), 4)), x_title="epoch", cursor=cursor)
    assert format_cursor(spec) == words


def test_buckets_keep_the_extremes_of_every_column() -> None:
    ys = [math.sin(x / 50) for x in range(10_000)]
    ys[4321], ys[8765] = 9.0, -9.0
    part = bucketed(range(10_000), ys, 60)
    assert len(part.ys) <= 120
    assert 9.0 in part.ys and -9.0 in part.ys
    assert part.xs == sorted(part.xs)


def test_smoothing_starts_without_bias_and_skips_nan() -> None:
    assert smoothed([4.0])[0] == pytest.approx(4.0)
    found = smoothed([4.0, NAN, 4.0])
    assert math.isnan(found[1]) and found[2] == pytest.approx(4.0)


def test_a_hundred_thousand_points_are_drawn_sooner_than_half_a_million_are_put_into_a_dictionary() -> None:
    """In about 50 of 95 ms of processor time; on a busy machine both take longer, so each pair is compared."""
    xs = tuple(float(x) for x in range(100_000))
    ys = tuple(math.sin(x / 500) + 2 for x in range(100_000))
    spec = PlotSpec((Series("one", xs, ys, 0),), (Point(5.0, 2.0, "★", "best"),))

    def draw() -> None:
        plot_text(spec, 60, 15, dark=True)

    def fill() -> None:
        assert {x: float(x) for x in range(500_000)}

    ratios = [_seconds(draw) / _seconds(fill) for _ in range(7)]
    assert median(ratios) < 1, ratios


def _seconds(work: Callable[[], object]) -> float:
    before = time.thread_time()
    work()
    return time.thread_time() - before


def test_an_epoch_axis_has_integer_labels_only() -> None:
    """There is no epoch 2.2; a curve within one epoch has none of them."""
    assert round_ticks(1, 8, 5, integers=True)[1] == ["2", "4", "6", "8"]
    assert round_ticks(1, 3, 6, integers=True)[1] == ["1", "2", "3"]
    assert round_ticks(0.25, 0.75, 5, integers=True) == ([], [])


def test_no_two_labels_of_the_y_axis_share_a_row() -> None:
    """0.85 and 0.90 are less than one of three rows apart."""
    steps = tuple(float(4 * epoch) for epoch in range(1, 9))
    one = Series("val AUC", steps, (0.82, 0.84, 0.86, 0.88, 0.90, 0.92, 0.91, 0.90), 1)
    text = plot_text(PlotSpec((one,), upper=1.0), 38, 7, dark=True).plain
    assert [label for label in ("0.85", "0.90") if label in text] == ["0.85"]
