"""A suite's table as a workbook, its curves and searches as figures."""

from __future__ import annotations

import math
from pathlib import Path

import openpyxl
import pytest
from PIL import Image

from engine.contract.wire.jobs import CurvePanel, GroupCurve, Importance, SearchFigure, TrialValue
from engine.report.group_curves import plot_group_curves
from engine.report.search_figure import best_so_far, plot_search
from engine.report.workbook import write_table
from medtui.suites.curves import mean_curve


def test_a_workbook_reads_back_with_its_numbers_in_full_and_no_formula(tmp_path: Path) -> None:
    rows = [["name", "auc_mean", "n"], ["=1+1", 0.1 + 0.2, 3], ["mini_cnn", None, 0]]
    write_table(tmp_path / "t.xlsx", "Suite", rows, ["± is the standard deviation"])
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx")["Suite"]
    values = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert values[0] == ["name", "auc_mean", "n"]
    assert values[1] == ["=1+1", pytest.approx(0.3, rel=1e-15), 3] and sheet["A2"].data_type == "s"
    assert values[2][0] == "mini_cnn" and not values[2][1] and values[2][2] == 0
    assert values[4][0] == "± is the standard deviation"


def test_a_mean_curve_goes_as_far_as_all_runs_and_its_band_is_one_deviation() -> None:
    found = mean_curve("mini_cnn", [{1: 0.5, 2: 0.7, 3: 0.9}, {1: 0.7, 2: 0.7}])
    assert found.label == "mini_cnn (2 runs)"
    assert found.mean == (0.6, 0.7)
    sd = math.sqrt(2 * 0.1**2)
    assert found.low == pytest.approx((0.6 - sd, 0.7), abs=1e-6)
    assert found.high == pytest.approx((0.6 + sd, 0.7), abs=1e-6)
    assert mean_curve("one", [{1: 0.5}]).low == ()


@pytest.mark.parametrize("panels", [1, 3])
def test_curves_are_drawn_one_panel_per_data_set(tmp_path: Path, panels: int) -> None:
    curves = [
        GroupCurve(label="mini_cnn (2 runs)", mean=[0.5, 0.6], low=[0.4, 0.5], high=[0.6, 0.7]),
        GroupCurve(label="$x_1^2$ (1 run)", mean=[0.5, math.nan]),
    ]
    found = [CurvePanel(title=f"set {number}", curves=curves) for number in range(panels)]
    plot_group_curves(tmp_path / "c.png", "Suite s", "validation AUC", "mean over seeds", found)
    with Image.open(tmp_path / "c.png") as image:
        image.load()
        assert image.size == (920 * min(panels, 2), 760 * (1 if panels == 1 else 2))


@pytest.mark.parametrize("fields", [0, 3])
def test_a_search_is_drawn_with_its_trials_and_what_matters(tmp_path: Path, fields: int) -> None:
    trials = [TrialValue(number=at, value=None if at == 3 else 0.7 + at / 100) for at in range(1, 6)]
    importances = [Importance(name=f"training.field{at}", value=0.3) for at in range(fields)]
    output = str(tmp_path / "s.png")
    search = SearchFigure(
        id="s", title="Search s", ylabel="validation AUC", trials=trials, importances=importances, output=output
    )
    plot_search(tmp_path / "s.png", search)
    with Image.open(tmp_path / "s.png") as image:
        assert image.size == (1840, 760)


def test_the_best_so_far_never_becomes_worse() -> None:
    assert best_so_far([0.5, 0.4, 0.7, 0.6], higher_is_better=True) == [0.5, 0.5, 0.7, 0.7]
    assert best_so_far([0.5, 0.4, 0.7], higher_is_better=False) == [0.5, 0.4, 0.4]
