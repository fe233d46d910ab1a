"""A comparison as values: what is more than noise, and files that never replace another."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_run_filter import row

from engine.contract.files.folders import Folder
from engine.contract.wire.errors import OutputError
from engine.contract.wire.protocol import Metrics
from medtui.client.comparison import (
    RULE,
    Compared,
    comparison_csv,
    comparison_markdown,
    judged,
    metric_rows,
    write_comparison,
)
from medtui.sentences import Comparison

MIDDLE = st.floats(0.3, 0.7)


def run(sign: str, auc: float, half: float | None, name: str = "", **facts: object) -> Compared:
    ends = None if half is None else (auc - half, auc + half)
    metrics = Metrics(auc=auc, acc=0.5, f1=0.5, auc_ci95=ends, acc_ci95=None)
    return Compared(sign, row(name or f"run {sign}", **facts), metrics, metrics, None)


@given(MIDDLE, st.floats(0.001, 0.2), MIDDLE, st.floats(0.001, 0.2))
def test_a_difference_is_noise_unless_it_exceeds_the_root_of_the_squared_half_widths(
    a: float, half_a: float, b: float, half_b: float
) -> None:
    """Newcombe's interval where those of both runs are symmetric."""
    _, found = metric_rows([run("A", a, half_a), run("B", b, half_b)], "test", "AUC")
    half = math.hypot(half_a, half_b)
    if abs(abs(b - a) - half) > 1e-9:
        assert found.verdict == ("more than noise" if abs(b - a) > half else "may be noise")


@pytest.mark.parametrize("ends", [None, (math.nan, math.nan), (0.2, math.nan)])
def test_a_difference_without_an_interval_is_not_judged(ends: tuple[float, float] | None) -> None:
    assert judged(ends) == "unknown"


def test_the_ends_of_the_interval_decide_and_0_itself_is_noise() -> None:
    assert [judged(ends) for ends in ((0.0, 0.1), (-0.1, 0.0), (0.01, 0.1), (-0.1, -0.01))] == [
        *("may be noise", "may be noise", "more than noise", "more than noise"),
    ]


@pytest.mark.parametrize("facts", [{"limit": 64}, {"size": 64}, {"synthetic": True}, {"dataset": "bloodmnist"}])
def test_runs_on_other_data_are_not_compared(facts: dict[str, object]) -> None:
    rows = metric_rows([run("A", 0.5, 0.01), run("B", 0.9, 0.01, **facts)], "test", "AUC")
    assert (rows[1].change, rows[1].verdict) == (None, "other data")


def test_exports_have_the_numbers_in_full_and_the_rule() -> None:
    runs = [run("A", 0.7123456789, 0.02), run("B", 0.9, None)]
    first, second = csv.DictReader(io.StringIO(comparison_csv(runs)))
    assert (first["test_auc"], first["test_auc_low"]) == (repr(0.7123456789), repr(0.7123456789 - 0.02))
    assert (second["test_auc_low"], second["test_auc_verdict"]) == ("", "unknown")
    assert float(second["test_auc_difference"]) == pytest.approx(0.1876543211)
    text = comparison_markdown(runs)
    assert RULE in text and "| test AUC | 0.7123 [0.692, 0.732] | 0.9000; +0.1877 |" in text


def test_markdown_does_not_interpret_the_texts_of_a_run() -> None:
    hostile = run("A", 0.5, 0.1, "[x](http://y) | `z` <b>")
    assert r"\[x\](http://y) \| \`z\` \<b\>" in comparison_markdown([hostile, run("B", 0.5, 0.1)])


def test_an_export_takes_the_first_free_name_and_follows_no_link(tmp_path: Path) -> None:
    taken, target = tmp_path / "comparison_20261126_1.md", tmp_path / "elsewhere"
    taken.write_text("mine")
    (tmp_path / "comparison_20261126_2.md").symlink_to(target)
    path = write_comparison(Folder(tmp_path), "text", "20261126", "md")
    assert path == str(tmp_path / "comparison_20261126_3.md")
    assert (taken.read_text(), Path(path).read_text(), target.exists()) == ("mine", "text", False)


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        write_comparison(Folder(tmp_path / "gone"), "text", "20261126", "md")
    assert caught.value.code == Comparison.UNWRITABLE.code
