"""`medtui runs` at the width of a terminal: columns are left out, values and words are never cut."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from ended_runs import ended_run
from hypothesis import given
from hypothesis import strategies as st
from test_run_filter import ROWS, row

from engine.contract.store.run_directory import read_object
from engine.contract.wire.errors import UsageError
from medtui.cli.runs_table import csv_text, requested, table_lines
from medtui.client.labels import Labels
from medtui.client.run_fields import FIELDS
from medtui.client.run_filter import parse_filter
from medtui.client.run_index import run_rows
from medtui.client.run_row import RunRow
from medtui.client.run_summary import summary
from medtui.rich_output import wrapped
from medtui.sentences import Listing

LONG = "20261120_breastmnist_resnet18-adapted_1a2b3c_2"  # a long name of a run, 46 columns


def test_at_80_columns_stands_what_matters_and_no_value_is_cut() -> None:
    lines, dropped = table_lines([row(LONG), row(LONG[:-2], test_auc=None, state="crashed")], None, 80)
    assert [line.split("  ")[0] for line in lines] == ["run", LONG, LONG[:-2]]
    assert lines[0].split() == ["run", "outcome", "test", "AUC", "seed", "lr"]
    assert lines[1].split() == [LONG, "completed", "0.9014", "1", "0.001"]
    assert dropped == 5
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("width", range(20, 140))
def test_a_result_on_part_of_the_data_is_never_shown_without_that(width: int) -> None:
    lines, _ = table_lines([row(LONG, limit=256, synthetic=True)], None, width)
    assert "synth. ≤ 256  0.9014" in lines[1].replace("    ", "  ") or "0.9014" not in lines[1]


@given(st.lists(ROWS, min_size=1, max_size=5), st.integers(1, 200))
def test_columns_are_dropped_from_the_right_and_never_narrowed(run_rows: list[RunRow], width: int) -> None:
    complete, none_dropped = table_lines(run_rows, None, None)
    lines, dropped = table_lines(run_rows, None, width)
    assert none_dropped == 0
    assert all(whole.startswith(line) for whole, line in zip(complete, lines, strict=True))
    if dropped and max(map(len, lines)) > width:
        assert max(len(one.run) for one in run_rows) > width or width < len("run"), "only the first column may be wider"


def test_the_columns_that_are_named_are_shown_in_their_order_and_in_full() -> None:
    lines, dropped = table_lines([row()], requested("seed, LR,auc,test-auc,dataset"), 10)
    assert lines[0].split() == ["seed", "lr", "test", "AUC", "data", "set"]
    assert lines[1].split() == ["1", "0.001", "0.9014", "breastmnist"]
    assert dropped == 0


@pytest.mark.parametrize(("columns", "sentence"), [("run,sed", Listing.NO_SUCH_COLUMN), (" ,", Listing.NO_COLUMNS)])
def test_a_column_that_there_is_not_is_refused(columns: str, sentence: object) -> None:
    with pytest.raises(UsageError) as caught:
        requested(columns)
    assert caught.value.code == sentence.code  # type: ignore[attr-defined]
    assert "seed" in caught.value.message + caught.value.hint


@given(st.lists(ROWS, max_size=4))
def test_csv_has_every_field_with_numbers_in_full(run_rows: list[RunRow]) -> None:
    read = list(csv.DictReader(io.StringIO(csv_text(run_rows, None))))
    assert len(read) == len(run_rows)
    assert {one.name for one in FIELDS if one.kind != "interval"} < set(csv_text([], None).split(","))
    for values, run_row in zip(read, run_rows, strict=True):
        assert values["test_auc"] == ("" if run_row.test_auc is None else repr(run_row.test_auc))
        assert values["seed"] == ("" if run_row.seed is None else str(run_row.seed))
        assert (values["test_auc_ci95_low"], values["test_auc_ci95_high"]) == ("0.835", "0.968")


@pytest.mark.parametrize("tag", ["=HYPERLINK(1)", "+1", "-1", "@a"])
def test_no_text_is_a_formula_for_a_spreadsheet(tag: str) -> None:
    [values] = csv.DictReader(io.StringIO(csv_text([row(labels=Labels((tag,), tag))], None)))
    assert (values["tags"], values["note"]) == (f"'{tag}", f"'{tag}")


@given(st.text(st.characters(categories=("L", "N", "Zs")), max_size=200), st.integers(1, 40))
def test_wrapping_breaks_at_spaces_only(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert " ".join(lines).split() == text.split()
    assert {word for line in lines for word in line.split(" ")} <= set(text.split(" "))


@pytest.mark.parametrize(
    ("owner", "named"), [("suite study", "study"), ("search lr", "search lr"), ("the queue", "queue"), (None, None)]
)
def test_a_run_tells_which_suite_it_is_part_of_in_lists_filters_and_show(
    tmp_path: Path, owner: str | None, named: str | None
) -> None:
    run = ended_run(tmp_path, "20261120_cells_mini-cnn_1a2b3c")
    mark = {} if owner is None else {"suite": {"owner": owner, "item": "1"}}
    run.manifest.path.write_text(json.dumps(read_object(run.manifest) | mark))  # type: ignore[operator]
    (listed,) = run_rows(tmp_path)
    assert listed.suite == listed.values()["suite"] == summary(run)["suite"] == named
    assert table_lines([listed], requested("suite"), None)[0][1] == (named or "")
    assert parse_filter(f'suite:"{named or "study"}"').of([listed]) == ([listed] if named else [])
