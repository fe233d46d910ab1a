"""The numbers, plots and small histories of Live, as functions of values."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from screen_helpers import screen_text, shows, wait_for
from stand_ins import Story, make_run
from test_live import watching

from engine.contract.wire.protocol import Metrics, Resources
from medtui.client.feed import absorb
from medtui.client.view import RunView
from medtui.console.live.machine import machine_text
from medtui.console.live.numbers import numbers_text, trend
from medtui.console.live.plots import NAMES, Shown, plot_of, room_for, rows_of
from medtui.console.shell.load_history import LoadHistory, LoadSample
from medtui.console.widgets.matrix import confusion_text, latest_confusion
from medtui.console.widgets.plot import PlotSpec, Series, format_cursor, plot_text
from medtui.console.widgets.scales import robust_limits
from medtui.machine.gpu import Gpu, Gpus
from medtui.preferences import preferences_file, read_preferences


def seen(story: Story, **ninth: Any) -> RunView:
    """After eight epochs; with values given, after a ninth that has them."""
    view = RunView(asked_to_start=True)
    for event in story.running(8):
        view = absorb(view, event)
    return absorb(view, story.epoch(9, **ninth)) if ninth else view


def test_the_numbers_are_those_of_the_newest_epoch_and_snapshot(tmp_path) -> None:
    story = Story(tmp_path / "run", epochs=100)
    story.facts = {"schedule": "one_cycle", "patience": 15}
    text = numbers_text(seen(story), 200, 1).plain
    # of the eighth epoch of the story: validation loss 0.65 - 0.03 * 8, AUC 0.92 - 0.01 * 2; the sixth was the best
    for words in ("val loss 0.410 ↘", "AUC 0.9000 ★6", "ACC 0.850", "F1 0.800", "lr 0.008 ╱╲", "1,180 img/s"):
        assert words in text
    assert "early stop in 13 epochs" in text  # 15 of patience, less the seventh and eighth


def test_the_training_loss_is_smoothed_and_its_trend_shown(tmp_path) -> None:
    story = Story(tmp_path / "run")
    steps = [(1, 1.0), (2, 1.0), (3, 1.0), (4, 0.5)]
    view = RunView(asked_to_start=True)
    for event in [story.hello(), story.phase("preparing"), story.started(), story.epoch(1, curve=steps)]:
        view = absorb(view, event)
    # bias-corrected moving average: weights 0.1 * 0.9 ** (3, 2, 1, 0), divided by their sum
    weights = [0.9**3, 0.9**2, 0.9, 1.0]
    expected = (sum(weights[:3]) * 1.0 + 0.5) / sum(weights)
    assert f"loss {expected:.3f} ↘" in numbers_text(view, 200, 1).plain


def test_no_early_stop_is_shown_that_comes_after_the_last_epoch_or_while_the_report_is_made(tmp_path) -> None:
    for epochs, shown in ((22, True), (21, False), (10, False)):
        story = Story(tmp_path / str(epochs), epochs=epochs)
        story.facts = {"patience": 15}
        view = seen(story)
        assert ("early stop in 13 epochs" in numbers_text(view, 200, 1).plain) == shown
        for phase in ("evaluating", "reporting"):
            assert "early stop" not in numbers_text(absorb(view, story.phase(phase)), 200, 1).plain


@pytest.mark.parametrize("phase", ["training", "paused"])
def test_lr_and_speed_do_not_fall_back_to_the_last_epochs_in_validation_and_pauses(tmp_path, phase: Any) -> None:
    story = Story(tmp_path / "run")
    step = story.progress(9, 4).model_copy(update={"lr": 0.015, "images_per_second": 1180.0})
    none = step.model_copy(update={"step": None, "lr": None, "images_per_second": None, "phase": phase})
    view = absorb(absorb(seen(story), step), none)
    text = numbers_text(view, 200, 1).plain
    assert "lr 0.015" in text and "1,180 img/s" in text
    later = reduce(absorb, [story.epoch(9, lr=0.015), story.epoch(10, lr=0.02, images_per_second=900.0)], view)
    text = numbers_text(later, 200, 1).plain
    assert "lr 0.02" in text and "900 img/s" in text, "no step of the newest epoch was seen"


@pytest.mark.parametrize(
    ("before", "after", "sign"),
    [(1.0, 0.98, "↘"), (1.0, 1.02, "↗"), (1.0, 1.005, "→"), (0.0, 0.0, "→"), (math.nan, 1.0, ""), (1.0, math.inf, "")],
)
def test_a_change_of_more_than_a_hundredth_is_a_trend(before: float, after: float, sign: str) -> None:
    assert trend(before, after) == sign


@given(st.integers(20, 250), st.integers(1, 3))
def test_numbers_fit_every_width(width: int, rows: int) -> None:
    from pathlib import Path

    lines = numbers_text(seen(Story(Path("/run"))), width, rows).plain.splitlines()
    assert len(lines) <= rows
    assert all(cell_len(line) <= width for line in lines)


def test_undefined_values_are_shown_as_such(tmp_path) -> None:
    story = Story(tmp_path / "run")
    nothing = Metrics(loss=None, auc=math.nan, acc=0.5, f1=math.nan, reasons={"auc": "one class"})
    view = seen(story, validation=nothing, best_epoch=None, lr=math.nan)
    text = numbers_text(view, 200, 1).plain
    assert "AUC –" in text and "F1 –" in text and "val loss" not in text


# ---- plots


@given(
    st.tuples(st.floats(0.2, 5), st.floats(0, 1)).map(lambda pair: ("zoom", *pair))
    | st.tuples(st.floats(-2, 2)).map(lambda one: ("pan", *one)),
)
def test_a_window_stays_within_the_axis(change) -> None:
    shown = Shown().zoom(2.0)
    shown = shown.zoom(*change[1:]) if change[0] == "zoom" else shown.pan(*change[1:])
    low, high = shown.window
    assert 0.0 <= low < high <= 1.0 + 1e-12


def test_the_values_at_the_cursor_are_written_as_their_kind_is(tmp_path) -> None:
    """One number after each name, a learning rate as short as it can be, a speed without decimals."""
    story = Story(tmp_path / "run")
    rows = [story.epoch(1).per_class[0].model_copy(update={"name": "adenocarcinoma of the colon"})]
    view = seen(story, lr=8e-08, images_per_second=1123.4696, per_class=rows)

    def at_cursor(name: str) -> str:
        return format_cursor(plot_of(name, view, Shown(cursor=8, axis="epoch")))

    assert at_cursor("lr") == "epoch 9: learning rate 8e-08"
    assert at_cursor("speed") == "epoch 9: training 1,123"
    assert at_cursor("recall") == "epoch 9: adenocarcinoma of t… 0.4500"
    assert re.fullmatch(r"epoch 9: train \(smoothed\) 0\.\d{4} val 0\.3800", at_cursor("loss"))
    none = seen(story, lr=math.nan, images_per_second=math.inf)
    endings = [
        format_cursor(plot_of(name, none, Shown(cursor=8, axis="epoch"))).split()[-1] for name in ("lr", "speed")
    ]
    assert endings == ["–", "∞"]


def test_zooming_keeps_the_point_under_the_mouse() -> None:
    low, high = Shown().zoom(2.0, at=0.25).window
    assert (low, high) == pytest.approx((0.125, 0.625))  # 0.25 is at a quarter of it
    assert Shown().zoom(2.0, at=0.25).zoom(0.5, at=0.25).window == pytest.approx((0.0, 1.0))


def test_a_window_cuts_every_plot_at_the_same_place(tmp_path) -> None:
    view = seen(Story(tmp_path / "run"))
    windows = {plot_of(name, view, Shown(window=(0.25, 0.5))).window for name in NAMES}
    # the story's losses are at the steps 1 to 34 of the run: 8 epochs of 4, and 2 of the ninth
    assert windows == {(1 + 0.25 * 33, 1 + 0.5 * 33)}


@pytest.mark.parametrize(
    ("columns", "rows", "plots"), [(200, 34, 6), (120, 18, 2), (120, 34, 4), (80, 10, 1), (60, 9, 1), (200, 18, 3)]
)
def test_there_are_as_many_plots_as_have_room(columns: int, rows: int, plots: int) -> None:
    across, down = room_for(columns, rows)
    assert across * down == plots


@given(st.integers(18, 80), st.integers(0, 200), st.integers(1, 10), st.booleans())
def test_the_rows_below_leave_room_for_a_plot(height: int, classes: int, progress: int, stacked: bool) -> None:
    detail, end = rows_of(height, classes, min(progress, 3), stacked=stacked)
    assert height - 2 - 2 - detail - end >= 3


def test_a_single_spike_does_not_flatten_a_curve_and_is_marked() -> None:
    ys = [1.0 - 0.01 * step for step in range(60)]
    ys[30] = 500.0
    low, high = robust_limits(ys)
    # of 60 values the third from each end, 0.96 (the spike is the highest) and 0.43; half their distance more each way
    assert low == pytest.approx(0.41) and 0.98 < high < 2.0
    xs = tuple(float(x) for x in range(60))
    text = plot_text(PlotSpec((Series("train", xs, tuple(ys), 0),), robust=True), 60, 14, dark=True).plain
    assert text.count("▲") == 1
    assert "500" not in text


def test_a_steep_start_is_no_outlier() -> None:
    ys = [2.3 * math.exp(-step / 20) for step in range(100)]
    assert robust_limits(ys) == (min(ys), max(ys))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_robust_limits_hold_at_least_nine_of_ten_values(ys: list[float]) -> None:
    low, high = robust_limits(ys)
    assert min(ys) <= low <= high <= max(ys)
    assert sum(low <= y <= high for y in ys) >= 0.88 * len(ys)


# ---- machine and confusion


def test_the_machine_has_a_line_for_each_of_its_parts() -> None:
    card = Gpu("H100", 91, 6_100_000_000, 80_000_000_000, 61, 312.0)
    samples = tuple(LoadSample(50.0 * n, 800_000_000, Gpus((replace(card, load=10 * n),))) for n in range(4))
    lines = machine_text(samples, 60, 5).plain.splitlines()
    assert lines[0].startswith("CPU") and lines[0].endswith("150 %") and "▁" in lines[0]
    assert lines[1].startswith("RAM") and lines[1].endswith("0.8 GB")
    assert lines[2].startswith("GPU0") and lines[2].endswith("30 %  6.1 GB  61 °C  312 W")
    assert all(cell_len(line) <= 60 for line in lines)


def test_a_history_has_each_snapshot_once_and_begins_anew_with_another_run() -> None:
    history, view = LoadHistory(), RunView(run="a", resources=Resources(time=1.0, cpu_percent=90.0, memory=10))
    history.add(view, None)
    history.add(replace(view, noise=1), None)
    assert len(history.samples) == 1
    history.add(replace(view, run="b", resources=Resources(time=2.0, cpu_percent=1.0, memory=1)), None)
    assert [sample.cpu for sample in history.samples] == [1.0]


def test_the_confusion_of_the_newest_epoch_is_shown(tmp_path) -> None:
    story = Story(tmp_path / "run")
    view = seen(story, confusion=[[50, 7], [4, 17]])
    found = latest_confusion(view)
    assert found is not None and found.counts == ((50, 7), (4, 17))
    lines = confusion_text(found, 40, legend=False).plain.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["benign", "malignant"]
    damaged = seen(Story(tmp_path / "run"), confusion=[[1, 2]])
    assert latest_confusion(damaged) is None


# ---- on the screen


@pytest.mark.asyncio
async def test_choices_made_with_keys_are_remembered_by_the_next_console(console, scripts) -> None:
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await watching(pilot, app, scripts)
        await pilot.press("x", "y", "g")
        await shows(pilot, "by epoch", "accuracy", "learning rate")
        await wait_for(pilot, lambda: read_preferences().get("live_plots") == "acc")
    again = console()
    async with again.run_test(size=(120, 40), notifications=True) as pilot:
        await watching(pilot, again, scripts)
        await shows(pilot, "accuracy", "learning rate", "by epoch")
        assert "validation AUC ─" not in screen_text(again)
    preferences_file().path.write_text("{ damaged")
    assert read_preferences() == {}


@pytest.mark.asyncio
async def test_the_wheel_zooms_all_plots_and_esc_shows_all_again(console, scripts) -> None:
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await watching(pilot, app, scripts)
        live = app.base_screen
        await pilot.press("plus", "plus")
        await wait_for(pilot, lambda: screen_text(app).count("zoomed") == 2)
        before = live.plots.shown.window
        await pilot.press("left")
        assert live.plots.shown.window[0] < before[0]
        await pilot.press("escape")
        await wait_for(pilot, lambda: "zoomed" not in screen_text(app))


def test_the_published_value_of_the_set_is_a_line_for_runs_that_may_be_compared(tmp_path) -> None:
    story = Story(tmp_path / "run")
    (level,) = plot_of("auc", seen(story), Shown()).levels
    # Table 3 of MedMNIST v2: ResNet-18, which the story trains, has an AUC of 0.901 on BreastMNIST at 28 px
    assert (level.y, level.words) == (0.901, "published 0.901 (test, ResNet-18)")
    story.facts = {"limit": 64}
    assert plot_of("auc", seen(story), Shown()).levels == ()
    story.facts = {"synthetic": True}
    assert plot_of("auc", seen(story), Shown()).levels == ()


@pytest.mark.asyncio
async def test_runs_that_are_marked_in_results_are_drawn_over_the_living_one(console, scripts, workspace) -> None:
    make_run(workspace, "20261121_breastmnist_resnet18-adapted_aaaaaa")
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await watching(pilot, app, scripts)
        await pilot.press("4")
        results = app.get_base_screen("results")
        await wait_for(pilot, lambda: results.detail)
        await pilot.press("space")
        await wait_for(pilot, lambda: len(app.marked_runs) == 1)
        await pilot.press("3")
        await wait_for(pilot, lambda: len(app.base_screen.query_one("#auc").spec.series) == 2)
        other = app.base_screen.query_one("#auc").spec.series[1]
        # the run on disk has the story's eight epochs, the living one three
        assert (other.name, len(other.xs)) == ("A", 8)
        await shows(pilot, "─ A")
        await pilot.press("4")
        results.query_one("#runs").move_cursor(row=0)  # marking moved it on
        await pilot.pause()
        await pilot.press("space")
        await wait_for(pilot, lambda: len(app.marked_runs) == 0)
        await pilot.press("3")
        await wait_for(pilot, lambda: len(app.base_screen.query_one("#auc").spec.series) == 1)


def test_the_published_value_is_that_of_the_model_where_there_is_one(tmp_path) -> None:
    story = Story(tmp_path / "run")
    story.facts = {"model": "resnet18"}
    (level,) = plot_of("auc", seen(story), Shown()).levels
    # Table 3 of MedMNIST v2: ResNet-18 at 28 px has an AUC of 0.901 on BreastMNIST
    assert (level.y, level.words, level.short) == (0.901, "published 0.901 (test, ResNet-18)", "published 0.901")


@pytest.mark.parametrize("stacked", [True, False])
def test_the_tables_leave_room_for_a_plot_at_every_height(stacked: bool) -> None:
    for height in range(30, 80):
        for classes, progress in [(2, 2), (8, 2), (8, 4), (14, 2), (100, 4)]:
            detail, end = rows_of(height, classes, progress, stacked=stacked)
            assert height - 5 - detail - end >= 7, (height, classes, progress)
    assert rows_of(40, 8, 4, stacked=False) == (11, 6), "where there is room, all classes"
