"""The report: tables, workbook and figures, made from plain values."""

from __future__ import annotations

import csv
import math
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from openpyxl import Workbook
from PIL import Image
from sklearn.metrics import roc_auc_score

from engine.contract.data.published import published_for
from engine.contract.wire.protocol import ClassMetrics, Metrics
from engine.evaluate.metrics import evaluate, predictions
from engine.report.content import RunReport
from engine.report.curves import calibration, roc_points
from engine.report.figures import FIGURES
from engine.report.samples import spread_rows
from engine.report.tables import write_confusion_csv, write_history_csv, write_per_class_csv
from engine.report.workbook import put, write_workbook

SHEETS = ["Summary", "Configuration", "Epochs", "Per class", "Confusion", "Environment"]
FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "{=A1}", '=HYPERLINK("http://x","y")', "#N/A", "\t=1", "\r=1")
HOSTILE = (
    *FORMULAS,
    "$x_1^2$ \\frac{a}{b",
    "$",
    "N" * 40_000,
    "סרטן ‮abc",
    "é" + "\u0301" * 500,
    "\x1b[31m\x00\ud800\ufffe",
    "細胞",
    "",
    "same",
    "same",
)


def epoch(number: int, **changes: object) -> dict[str, object]:
    row = {"epoch": number, "lr": 0.1 / number, "train_loss": 1 / 3 + 1 / number, "train_acc": 0.5, "val_loss": 0.7}
    return row | {"val_auc": 0.8, "val_acc": 0.75, "val_f1": 0.6, "best": number == 2} | changes


def report(task: str = "multi_class", classes: int = 3, n: int = 60, **changes: object) -> RunReport:
    """A run whose metrics are undefined where nothing is asked of them; figures are compared with labels and scores."""
    random = np.random.default_rng(7)
    names = tuple(changes.get("class_names", [f"class {k}" for k in range(classes)]))
    scores = random.dirichlet(np.ones(classes), n)
    labels = random.integers(0, classes, n)
    if task == "multi_label":
        labels, confusion = random.integers(0, 2, (n, classes)), random.integers(0, 9, (classes, 2, 2))
    else:
        confusion = random.integers(0, 9, (classes, classes))
    values = {
        "run": "20260101_demo",
        "dataset": "DemoMNIST",
        "synthetic": False,
        "limit": None,
        "model": "mini_cnn",
        "outcome": "completed",
        "task": task,
        "class_names": names,
        "summary": [("training time (s)", 12.5)],
        "configuration": [("training.epochs", 2, "Epochs"), ("training.patience", None, "Patience (epochs)")],
        "environment": [("torch", "2.9.0"), ("threads", 2)],
        "only_in_training_loss": [],
        "history": [epoch(1), epoch(2), epoch(3)],
        "validation": Metrics(loss=0.5, auc=0.9, acc=0.8, f1=0.7),
        "test": Metrics(loss=0.6, auc=0.875, acc=0.75, f1=0.5),
        "per_class": [ClassMetrics(name=x, recall=0.5, precision=0.25, f1=1 / 3, auc=0.8, support=9) for x in names],
        "confusion": confusion,
        "labels": labels,
        "scores": scores,
        "samples": random.integers(0, 256, (4, 12, 12), dtype=np.uint8),
        "sample_rows": np.arange(4),
    }
    return RunReport(**(values | changes))


def hostile(task: str = "multi_class", **changes: object) -> RunReport:
    return report(task, len(HOSTILE), class_names=HOSTILE, **changes)


def reopened(path: Path, content: RunReport) -> Workbook:
    write_workbook(path, content)
    return openpyxl.load_workbook(path)


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def everything(sheet) -> dict[str, object]:
    """Column B by column A."""
    return {row[0]: row[1] for row in sheet.iter_rows(values_only=True)}


# ---- samples ------------------------------------------------------------------------------------------------------


def test_samples_are_spread_evenly_over_the_classes_of_a_split_that_is_sorted_by_them() -> None:
    """Of 60, 30 and 10 images: every fifth one, 12, 6 and 2."""
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    assert spread_rows(labels, 20).tolist() == list(range(0, 100, 5))
    shuffled = np.random.default_rng(1).permutation(labels)
    found = spread_rows(shuffled, 20)
    assert np.bincount(shuffled[found]).tolist() == [12, 6, 2]
    assert found.tolist() == sorted(set(found.tolist()))
    assert spread_rows(labels[:7], 20).tolist() == list(range(7))
    assert spread_rows(np.zeros((40, 3), np.int64), 20).tolist() == list(range(0, 40, 2))
    assert spread_rows(labels[:0], 20).tolist() == []


# ---- workbook -----------------------------------------------------------------------------------------------------


def test_the_workbook_has_exactly_the_promised_sheets_and_one_row_per_epoch(tmp_path):
    book = reopened(tmp_path / "report.xlsx", report())
    assert book.sheetnames == SHEETS
    epochs = list(book["Epochs"].iter_rows(min_row=2, max_col=9, values_only=True))
    assert [row[:-1] for row in epochs] == [pytest.approx(tuple(epoch(k).values())[:-1]) for k in (1, 2, 3)]
    assert [row[-1] for row in epochs] == ["no", "yes", "no"]
    assert all(sheet.freeze_panes for sheet in book)


def test_the_workbook_compares_with_published_values_where_there_are_some(tmp_path):
    found = tuple(published_for("bloodmnist", 128))
    content = report(published=found)
    book = reopened(tmp_path / "report.xlsx", content)
    assert book.sheetnames == [*SHEETS, "Published"]
    table = list(book["Published"].iter_rows(min_row=2, max_row=12, values_only=True))
    assert table[0][:4] == ("this run", 0.875, "none", 0.75)
    assert [row[:5] for row in table[1:]] == [(x.method, x.auc, x.auc_sd, x.acc, x.acc_sd) for x in found]
    assert "chosen on the test split" in table[1][6] and "Doerrich" in table[1][5]
    assert "pretrained" in everything(book["Published"]).popitem()[0]


def test_the_summary_sheet_has_both_ends_of_the_intervals_that_are_known(tmp_path):
    test = Metrics(auc=0.875, acc=0.75, f1=0.5, auc_ci95=(0.8125, 0.9375))
    known = everything(reopened(tmp_path / "a.xlsx", report(test=test))["Summary"])
    assert (known["Test AUC, 95 % lower"], known["Test AUC, 95 % upper"]) == (0.8125, 0.9375)
    assert not [label for label in known if str(label).startswith("Test accuracy, 95 %")]


def test_the_workbook_has_two_native_charts_next_to_the_epochs(tmp_path):
    write_workbook(tmp_path / "report.xlsx", report())
    charts = openpyxl.load_workbook(tmp_path / "report.xlsx")["Epochs"]._charts
    assert [type(chart).__name__ for chart in charts] == ["LineChart", "LineChart"]
    read = [[series.val.numRef.f for series in chart.series] for chart in charts]
    assert read == [["'Epochs'!$C$2:$C$4", "'Epochs'!$E$2:$E$4"], ["'Epochs'!$F$2:$F$4", "'Epochs'!$G$2:$G$4"]]
    assert all(chart.anchor._from.col > 8 for chart in charts)


def test_an_undefined_epoch_is_a_gap_in_the_chart_and_marked_in_the_table(tmp_path):
    content = report(history=[epoch(1, val_auc=math.nan), epoch(2, val_auc=0.9), epoch(3, val_auc=None)])
    sheet = reopened(tmp_path / "report.xlsx", content)["Epochs"]
    assert [sheet.cell(row, 6).value for row in (2, 3, 4)] == ["undefined", 0.9, "none"]
    drawn = sheet[sheet._charts[1].series[0].val.numRef.f.split("!")[1].replace("$", "")]
    assert [cell.value for (cell,) in drawn] == [None, 0.9, None]


def test_a_run_stopped_before_its_first_epoch_has_a_workbook(tmp_path):
    book = reopened(tmp_path / "report.xlsx", report(history=[], validation=None, outcome="stopped"))
    assert book["Epochs"].max_row == 1
    assert everything(book["Summary"])["Outcome"] == "stopped"


def test_the_summary_shows_metrics_and_why_one_is_undefined(tmp_path):
    test = Metrics(auc=math.nan, acc=0.75, f1=0.5, reasons={"auc": "only one class is present"})
    sheet = reopened(tmp_path / "report.xlsx", report(test=test))["Summary"]
    found = {row[0]: row[1:3] for row in sheet.iter_rows(values_only=True)}
    assert found["Test AUC"] == ("undefined", "only one class is present")
    assert found["Test accuracy"][0] == 0.75
    assert found["Validation (best epoch) AUC"][0] == 0.9
    assert found["training time (s)"][0] == 12.5


def test_a_synthetic_result_is_labelled_in_the_summary_and_a_real_one_is_not(tmp_path):
    drawn = everything(reopened(tmp_path / "a.xlsx", report(synthetic=True))["Summary"])
    real = everything(reopened(tmp_path / "b.xlsx", report())["Summary"])
    assert any("synthetic data" in str(value) for value in drawn.values())
    assert not any("synthetic" in str(value) for value in real.values())


def test_a_limited_run_is_labelled_in_the_summary_and_a_full_one_is_not(tmp_path):
    limited = everything(reopened(tmp_path / "a.xlsx", report(limit=64, synthetic=True))["Summary"])
    whole = everything(reopened(tmp_path / "b.xlsx", report())["Summary"])
    assert limited["Subset run"] == "at most 64 images of each split: not comparable with published results"
    assert "Subset run" not in whole


@pytest.mark.parametrize("task", ["multi_class", "multi_label"])
def test_no_class_name_becomes_a_formula_or_breaks_the_workbook(tmp_path, task):
    content = hostile(task, configuration=[(x, x, x) for x in HOSTILE], environment=[(x, x) for x in HOSTILE])
    book = reopened(tmp_path / "report.xlsx", replace(content, run="=1+1", dataset="=2", model="@x"))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value not in (None, "")]
    assert len(cells) > 300
    assert {cell.data_type for cell in cells} == {"s", "n"}
    names = [book["Per class"].cell(row, 1).value for row in range(2, len(HOSTILE) + 2)]
    assert names[:7] == list(HOSTILE[:7])
    assert names[-2:] == ["same", "same"]
    assert names[HOSTILE.index("N" * 40_000)] == "N" * 32_766 + "…"
    assert names[HOSTILE.index("\x1b[31m\x00\ud800\ufffe")] == "�[31m���"


def test_text_that_begins_like_a_formula_stays_text_when_edited():
    cell = Workbook().active["A1"]
    put(cell, "=1+1")
    assert (cell.value, cell.data_type, cell.quotePrefix) == ("=1+1", "s", True)


def test_any_value_reads_back_as_what_it_is(tmp_path):
    values = {
        "float": (0.125, 0.125),
        "numpy": (np.float64(0.25), 0.25),
        "count": (np.int64(7), 7),
        "long seed": (2**63 - 1, "9223372036854775807"),
        "yes": (True, "yes"),
        "unknown": (None, "none"),
        "infinite": (-math.inf, "-∞"),
        "list": (["a", 1], "['a', 1]"),
        "path": (Path("/x"), "/x"),
        "moment": (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        # Excel shows this as "_x000D_"; unescaped it would show a carriage return (ECMA-376, ST_Xstring).
        "escape": ("_x000D_", "_x005F_x000D_"),
    }
    content = report(environment=[(name, given) for name, (given, _) in values.items()])
    found = everything(reopened(tmp_path / "report.xlsx", content)["Environment"])
    assert {name: found[name] for name in values} == {name: wanted for name, (_, wanted) in values.items()}


def test_the_confusion_sheet_has_true_rows_and_predicted_columns_shaded_by_row_fraction(tmp_path):
    confusion = np.array([[8, 2], [0, 0]])
    content = report("binary", 2, class_names=("ill", "well"), confusion=confusion)
    sheet = reopened(tmp_path / "report.xlsx", content)["Confusion"]
    assert [[cell.value for cell in row] for row in sheet["A2:D3"]] == [["ill", 8, 2, 10], ["well", 0, 0, 0]]
    shares = [[cell.value for cell in row] for row in sheet["A7:C8"]]
    assert shares == [["ill", 0.8, 0.2], ["well", "undefined (absent)", "undefined (absent)"]]
    scales = {str(area.sqref): rules for area, rules in sheet.conditional_formatting._cf_rules.items()}
    assert [float(stop.val) for stop in scales["B2:C2"][0].colorScale.cfvo] == [0, 10]


def test_a_multi_label_confusion_sheet_has_the_four_counts_of_each_label(tmp_path):
    content = report("multi_label", 2, confusion=np.array([[[5, 1], [2, 4]], [[9, 3], [0, 0]]]))
    sheet = reopened(tmp_path / "report.xlsx", content)["Confusion"]
    first, second = ([cell.value for cell in row] for row in sheet["B2:G3"])
    assert first == [5, 1, 2, 4, 4 / 6, 5 / 6]
    assert second == [9, 3, 0, 0, "undefined (absent)", 0.75]


def test_a_failed_write_leaves_the_existing_workbook_unchanged(tmp_path):
    path = tmp_path / "report.xlsx"
    write_workbook(path, report())
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write_workbook(path, replace(report(), per_class=["no metrics"]))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ---- tables -------------------------------------------------------------------------------------------------------


def test_history_csv_keeps_every_float_exactly(tmp_path):
    write_history_csv(tmp_path / "history.csv", report(history=[epoch(3), epoch(4, val_auc=math.nan, val_f1=None)]))
    header, first, second = rows(tmp_path / "history.csv")
    assert header == ["epoch", "lr", "train_loss", "train_acc", "val_loss", "val_auc", "val_acc", "val_f1", "best"]
    assert float(first[1]) == 0.1 / 3
    assert float(first[2]) == 1 / 3 + 1 / 3
    assert (second[5], second[7], second[8]) == ("nan", "", "false")


def test_per_class_csv_has_one_row_per_class_of_each_epochs_validation_and_of_the_test_split(tmp_path):
    results = report(history=[epoch(1, best=True), epoch(2, best=False)])
    write_per_class_csv(tmp_path / "per_class.csv", results, [(1, results.per_class), (2, results.per_class)])
    found = rows(tmp_path / "per_class.csv")
    assert found[0] == ["epoch", "split", "name", "recall", "precision", "f1", "auc", "support"]
    values = [[f"class {k}", "0.5", "0.25", repr(1 / 3), "0.8", "9"] for k in range(3)]
    places = [["1", "val"], ["2", "val"], ["1", "test"]]
    assert found[1:] == [[*place, *row] for place in places for row in values]


def test_a_table_that_holds_the_beginning_is_appended_to_and_another_is_replaced(tmp_path):
    path = tmp_path / "history.csv"
    write_history_csv(path, report(history=[epoch(1)]))
    with path.open() as follower:  # as `tail -f` does
        assert len(follower.readlines()) == 2
        write_history_csv(path, report(history=[epoch(1), epoch(2)]))
        assert [line.partition(",")[0] for line in follower.readlines()] == ["2"]
    whole = path.read_bytes()
    for damaged in (whole[:-7], whole + whole[-9:], whole.replace(b"0.8", b"0.9"), b""):
        path.write_bytes(damaged)
        write_history_csv(path, report(history=[epoch(1), epoch(2)]))
        assert path.read_bytes() == whole


def test_confusion_csv_has_true_rows_and_predicted_columns(tmp_path):
    write_confusion_csv(tmp_path / "c.csv", report("binary", 2, confusion=np.array([[1, 2], [3, 4]])))
    assert rows(tmp_path / "c.csv") == [["true", "class 0", "class 1"], ["class 0", "1", "2"], ["class 1", "3", "4"]]


def test_a_multi_label_confusion_csv_names_its_four_counts(tmp_path):
    write_confusion_csv(tmp_path / "c.csv", report("multi_label", 1, confusion=np.array([[[5, 1], [2, 4]]])))
    assert rows(tmp_path / "c.csv") == [["label", "tn", "fp", "fn", "tp"], ["class 0", "5", "1", "2", "4"]]


def test_no_class_name_in_a_csv_begins_like_a_formula(tmp_path):
    write_per_class_csv(tmp_path / "per_class.csv", hostile(), [])
    names = [row[2] for row in rows(tmp_path / "per_class.csv")[1:]]
    assert len(names) == len(HOSTILE)
    assert names[0] == "'=1+1"
    assert not any(name.startswith(("=", "+", "-", "@", "\t", "\r")) for name in names)
    assert "N" * 40_000 in names


# ---- what the figures show, as numbers ----------------------------------------------------------------------------


def test_the_roc_curve_encloses_the_area_that_scikit_learn_finds():
    random = np.random.default_rng(1)
    truth, scores = random.random(200) < 0.3, random.integers(0, 12, 200) / 12  # many equal scores
    alarms, hits = roc_points(truth, scores)
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(hits, alarms) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_there_is_no_roc_curve_with_only_one_label_value(truth):
    assert roc_points(np.array(truth), np.array([0.1, 0.9])) is None


def test_the_calibration_error_is_that_of_its_definition():
    # two bins hold two images each: |0.5 - 0.95| and |1.0 - 0.65|, each with half the weight
    found = calibration(np.array([0.94, 0.96, 0.64, 0.66]), np.array([True, False, True, True]))
    assert found.counts.sum() == 4
    assert found.error == pytest.approx((0.45 + 0.35) / 2)
    assert math.isnan(calibration(np.array([math.nan]), np.array([True])).error)


@pytest.mark.parametrize("task", ["binary", "multi_class", "ordinal", "multi_label"])
def test_the_report_counts_a_prediction_as_the_metrics_do(task):
    content = report(task, 2 if task == "binary" else 4)
    edge = np.full_like(content.scores[:1], 0.5)
    content = replace(content, scores=np.concatenate([edge, content.scores]))
    assert np.array_equal(content.predictions, predictions(content.scores, task))


# ---- figures ------------------------------------------------------------------------------------------------------


def one_image(**changes: object) -> RunReport:
    names = ("a", "b", "c")
    labels, scores = np.array([1]), np.full((1, 3), 1 / 3)
    found = evaluate(labels, scores, "multi_class", names)
    values = {
        "labels": labels,
        "scores": scores,
        "test": found.metrics,
        "per_class": found.per_class,
        "confusion": found.confusion,
        "history": [epoch(1, train_loss=math.nan, val_loss=math.inf, val_auc=math.nan, best=False)],
        "samples": np.zeros((1, 8, 8, 3), np.uint8),
        "sample_rows": np.array([0]),
    }
    return report(class_names=names, **(values | changes))


CASES = {
    "binary": lambda: report("binary", 2),
    "multi_class": lambda: report("multi_class", 5, synthetic=True),
    "ordinal": lambda: report("ordinal", 4),
    "multi_label": lambda: report("multi_label", 6),
    "one image": one_image,
    "nothing finite": lambda: replace(one_image(), scores=np.full((1, 3), math.nan), history=[]),
    "hostile names": lambda: hostile(run="$" * 500, dataset="_^$\\", samples=np.zeros((0, 8, 8), np.uint8)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.everyday("multi_class", "hostile names")
def test_every_figure_is_a_sharp_nonempty_png_without_warnings(tmp_path, case, capfd, recwarn):
    content = CASES[case]()
    assert list(FIGURES) == ["curves", "confusion", "samples", "batch", "roc", "reliability"]
    for name, draw in FIGURES.items():
        draw(tmp_path / f"{name}.png", content)
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.format == "PNG"
            assert min(image.info["dpi"]) > 199.9  # PNG counts in whole pixels a metre
            assert min(image.size) >= 400
            assert np.asarray(image.convert("L")).std() > 5
    assert len(list(tmp_path.iterdir())) == len(FIGURES)
    assert capfd.readouterr().err == ""
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("figure", ["samples", "reliability"])
def test_a_figure_of_synthetic_data_is_labelled(tmp_path, figure):
    for synthetic in (False, True):
        FIGURES[figure](tmp_path / f"{synthetic}.png", report(synthetic=synthetic))
    titles = [np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"))[:120] for name in (False, True)]
    assert (titles[1] < 128).sum() > (titles[0] < 128).sum() + 300  # pixels of ink for "synthetic data"


def test_a_correct_prediction_looks_different_from_a_wrong_one(tmp_path):
    right = report("binary", 2, labels=np.ones(60, np.int64), scores=np.tile([0.2, 0.8], (60, 1)))
    wrong = replace(right, labels=np.zeros(60, np.int64))
    images = []
    for name, content in (("right", right), ("wrong", wrong)):
        FIGURES["samples"](tmp_path / f"{name}.png", replace(content, class_names=("same", "same")))
        images.append(np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int))
    bluish = [(image[..., 2] > image[..., 0] + 60).sum() for image in images]
    reddish = [(image[..., 0] > image[..., 2] + 60).sum() for image in images]
    assert bluish[0] > 1000 > bluish[1]
    assert reddish[1] > 1000 > reddish[0]


def test_a_users_matplotlibrc_does_not_change_a_figure(tmp_path):
    import matplotlib

    FIGURES["roc"](tmp_path / "plain.png", report("binary", 2))
    with matplotlib.rc_context({"text.usetex": True, "savefig.dpi": 30, "figure.facecolor": "red"}):
        FIGURES["roc"](tmp_path / "odd.png", report("binary", 2))
        assert matplotlib.rcParams["figure.facecolor"] == "red"
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "odd.png").read_bytes()


def test_the_report_loads_neither_torch_nor_pyplot():
    code = "import sys, engine.report.figures, engine.report.workbook, engine.report.tables as t; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ, timeout=60
    )
    loaded = done.stdout.split()
    assert "engine.report.figures" in loaded
    assert not {"torch", "matplotlib.pyplot"} & set(loaded)
    assert not [name for name in loaded if name.startswith(("engine.evaluate", "engine.train", "engine.data"))]


@pytest.mark.parametrize("figure", FIGURES)
def test_no_figure_cuts_its_title_however_long_the_names_are(tmp_path, figure):
    names = {"dataset": "W" * 40, "model": "resnet18_adapted_M", "synthetic": True, "limit": 100_000}
    FIGURES[figure](tmp_path / "f.png", report(outcome="stopped", **names))
    drawn = np.asarray(Image.open(tmp_path / "f.png").convert("L"))
    assert (drawn[:, :8] == 255).all() and (drawn[:, -8:] == 255).all(), "ink at the edge"
