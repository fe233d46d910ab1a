"""Marked runs: one letter and one colour each, wherever they are drawn; their curves over those of another run."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import Story, make_run

from engine.contract.store.workspace import Workspace
from medtui.client.state import RunState, fold
from medtui.client.view import RunView
from medtui.console.shell.marked_runs import FIRST_COLOUR, SIGNS, MarkedRuns, RunMark
from medtui.console.widgets.curves import auc_plot, loss_plot
from medtui.console.widgets.overlay import comparable, main_series, overlaid, read_marked
from medtui.console.widgets.plot import PlotSpec, plot_text

A, B = RunMark("one", "A", FIRST_COLOUR), RunMark("two", "B", FIRST_COLOUR + 1)


def marked(*names: str) -> MarkedRuns:
    return reduce(MarkedRuns.toggled, names, MarkedRuns())


def view(epochs: int, folder: str = "run") -> RunView:
    return RunView(state=reduce(fold, Story(Path(folder)).running(epochs)[:-1], RunState()))


def test_a_run_keeps_its_letter_and_colour_when_another_is_unmarked() -> None:
    before = marked("one", "two", "three")
    assert [(mark.run, mark.sign) for mark in before.marks] == [("one", "A"), ("two", "B"), ("three", "C")]
    after = before.toggled("one")
    assert after.marks == before.marks[1:]
    again = after.toggled("four")
    assert again.mark_of("four") == RunMark("four", "A", FIRST_COLOUR)
    assert again.kept({"three"}).marks == (before.marks[2],)


@given(st.lists(st.sampled_from([f"run {n}" for n in range(60)]), max_size=120))
def test_letters_are_unique_and_stable_whatever_is_marked_and_unmarked(names: list[str]) -> None:
    runs = MarkedRuns()
    for name in names:
        before, runs = runs, runs.toggled(name)
        kept = [mark for mark in before.marks if mark.run != name]
        assert [mark for mark in runs.marks if mark.run != name] == kept
        assert len({mark.sign for mark in runs.marks}) == len(runs) <= len(SIGNS)
        assert (runs.mark_of(name) is None) == (before.mark_of(name) is not None or before.is_full)


def test_each_run_adds_its_validation_curve_and_nothing_else() -> None:
    own, one, two = (loss_plot(view(n), "epoch", log=False, smooth=True) for n in (3, 5, 8))
    spec = overlaid(own, [(A, one), (B, two)])
    assert spec.series[: len(own.series)] == own.series
    added = spec.series[len(own.series) :]
    assert [(line.name, line.sign, line.colour) for line in added] == [
        ("A", "A", FIRST_COLOUR),
        ("B", "B", FIRST_COLOUR + 1),
    ]
    assert [list(line.ys) for line in added] == [
        [pytest.approx(0.65 - 0.03 * n) for n in range(1, m + 1)] for m in (5, 8)
    ]
    assert added[0].xs == one.series[-1].xs
    assert overlaid(own, []) == own


def of_data(view: RunView, **data: object) -> RunView:
    return replace(view, state=replace(view.state, summary=view.state.summary.model_copy(update=data)))


def test_runs_on_other_images_are_left_out_and_named() -> None:
    """Another set, another size, fewer images: their values say nothing about the run that is shown."""
    own = view(3)
    others = {
        "one": view(5),
        "two": of_data(view(5), dataset="pathmnist"),
        "three": of_data(view(5), size=64),
        "four": of_data(view(5), limit=100),
        "five": RunView(),  # not known yet
    }
    marks = marked(*others).marks
    drawn, left_out = comparable(own, marks, others)
    assert [mark.run for mark in drawn] == ["one", "five"]
    first, second, third = left_out.split(", ", 2)
    assert first.startswith("B (pathmnist") and second.startswith("C (") and "64 px" in second and "100" in third
    assert comparable(RunView(), marks, others) == (list(marks), ""), "before the run has said what it is trained on"


def test_a_run_without_that_curve_adds_none_and_an_empty_plot_shows_the_others() -> None:
    own = auc_plot(view(3), "epoch")
    assert overlaid(own, [(A, auc_plot(RunView(), "epoch"))]) == own
    waiting = overlaid(PlotSpec(x_title="epoch"), [(A, own)])
    assert [(line.name, line.ys) for line in waiting.series] == [("A", own.series[0].ys)]
    assert main_series(PlotSpec()) is None


def test_the_letters_stand_in_the_picture_once_each() -> None:
    spec = overlaid(auc_plot(view(4), "epoch"), [(A, auc_plot(view(6), "epoch")), (B, auc_plot(view(8), "epoch"))])
    text = plot_text(spec, 80, 16, dark=True).plain
    legend, drawn = text.split("\n", 1)
    assert "A" in legend and "B" in legend
    assert [drawn.count(letter) for letter in "AB"] == [1, 1]


def test_marked_runs_are_read_but_for_the_one_that_is_shown(workspace: Workspace) -> None:
    for name in ("one", "two", "three"):
        make_run(workspace, name, epochs=4)
    runs = marked("one", "two", "gone")
    found = read_marked(workspace.outputs, runs, {}, shown="two")
    assert list(found) == ["one"]
    assert len(found["one"].state.epochs) == 4 and math.isclose(found["one"].state.epochs[0].validation.auc, 0.82)
    (workspace.outputs / "one" / "events.jsonl").unlink()
    assert read_marked(workspace.outputs, runs, found, shown="two") == found, "what is over is not read again"
