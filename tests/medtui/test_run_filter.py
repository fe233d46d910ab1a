"""A filter over runs: what each term means, on values, and what holds for every filter and every run."""

from __future__ import annotations

import math
import operator
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.wire.errors import UsageError
from medtui.client.labels import Labels
from medtui.client.run_fields import FIELDS, FILTERED
from medtui.client.run_filter import describe_filter, is_term, parse_filter, parse_typed
from medtui.client.run_row import RunRow
from medtui.sentences import Filter
from medtui.text import started_at

STARTED = "2026-11-20T12:00:00+00:00"


def row(run: str = "20261120_breastmnist_resnet18-adapted_1a2b3c", **changes: object) -> RunRow:
    values: dict[str, object] = {
        "run": run, "run_dir": Path(run), "started": STARTED, "state": "completed", "dataset": "breastmnist",
        "size": 28, "synthetic": False, "limit": None, "model": "resnet18_adapted", "weights": "from scratch",
        "epochs_done": 8, "epochs_planned": 10, "validation_auc": 0.92, "test_auc": 0.9014, "test_acc": 0.8654,
        "test_auc_ci95": (0.835, 0.968), "test_acc_ci95": (0.803, 0.910), "seconds": 600.0, "labels": Labels(),
        "recipe_hash": "1a2b3c" + "0" * 26, "resolved_hash": "f" * 32, "seed": 1, "lr": 1e-3,
    }  # fmt: skip
    return RunRow(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ("dataset:breast model:resnet lr>=1e-3 auc>0.9 -tag:bad outcome:completed seed:1 scratch", True),
        ("dataset:blood", False),
        ("dataset=breast", False),
        ("dataset=BreastMNIST", True),
        ("dataset!=breastmnist", False),
        ("model:vit,resnet", True),
        ("outcome:failed,crashed", False),
        ("lr:0.001", True),
        ("lr>1e-3", False),
        ("lr<1e-2 lr<=.001", True),
        ("seed:11", False),
        ("seed!=1", False),
        ("seed:3,1,2", True),
        ("auc<0.9", False),
        ("test_auc>0.9", True),
        ("AUC>0.9", True),
        ("val_auc>=0.92", True),
        ("epochs:8", True),
        ("took:10min took>5min took<1h took<=600s", True),
        ("took>600", False),
        ("date:2026-11", True),
        ("date>=2026-11-20 date<2026-11-21", True),
        ("date>2026-11", False),
        ("date>2026-10", True),
        ("hash:1a2b", True),
        ("hash:2b3c", False),
        ("hash:ffff", True),
        ("tag:good", True),
        ("tag:goo", False),
        ("-tag:good", False),
        ("tag:bad", False),
        ('note:"two words"', True),
        ('note:"two  words"', False),
        ('"two words"', True),
        ("synthetic:no", True),
        ("-synthetic:yes", True),
        ("limit>1", False),
        ("-limit>1", True),
        ("breast -blood", True),
        ("-breast", False),
        ("RESNET", True),
    ],
)
def test_a_filter_passes_the_runs_that_it_describes(text: str, passes: bool) -> None:
    run_row = row(labels=Labels(("good", "paper"), "Two words, and more"))
    assert parse_filter(text).matches(run_row) is passes


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_an_unknown_or_undefined_value_is_neither_above_nor_below_a_limit(unknown: float | None) -> None:
    run_row = row(test_auc=unknown)
    assert not any(parse_filter(f"auc{sign}0.5").matches(run_row) for sign in (">", ">=", "<", "<=", ":", "="))
    assert parse_filter("-auc>0.5").matches(run_row)


@pytest.mark.parametrize(
    ("text", "sentence", "instead"),
    [
        ("datset:breast", Filter.UNKNOWN_NAME, "dataset"),
        ("learning_rate>1", Filter.UNKNOWN_NAME, "lr"),
        ("auc>", Filter.NO_VALUE, "auc>"),
        ("auc>high", Filter.NUMBER, "high"),
        ("seed:one", Filter.NUMBER, "one"),
        ("took>2days", Filter.DURATION, "2days"),
        ("took>1_0s", Filter.DURATION, "1_0s"),
        ("seed:1_0", Filter.NUMBER, "1_0"),
        ("seed:٤٢", Filter.NUMBER, "٤٢"),
        ("model>resnet", Filter.NO_ORDER, "model"),
        ("auc>0.5,0.6", Filter.SEVERAL, "0.5,0.6"),
        ("synthetic:maybe", Filter.YES_NO, "maybe"),
        ("test_auc_ci95:1", Filter.UNKNOWN_NAME, "known"),
    ],
)
def test_a_term_that_is_no_filter_is_refused_with_what_to_write(text: str, sentence: object, instead: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter(f"breast {text}")
    assert caught.value.code == sentence.code  # type: ignore[attr-defined]
    assert instead in caught.value.message


def test_the_help_names_every_field_that_can_be_filtered_and_each_can() -> None:
    described = describe_filter()
    for one in FILTERED:
        assert one.names[0] in described.split("Names: ")[1].rstrip(".").split()
        value = {"number": "1", "duration": "1", "yes_no": "yes", "date": "2026"}.get(one.kind, "x")
        for name in one.names:
            parse_filter(f"{name}:{value}").matches(row())
    names = [name for one in FIELDS for name in one.names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("typed", "same_as"),
    [("lr<1 au", "lr<1"), ("lr<1 -ta", "lr<1"), ("-", ""), ("mini", "mini"), ("auc ", "auc"), ("seed:1", "seed:1")],
)
def test_a_word_that_may_become_a_name_does_not_filter_while_it_is_typed(typed: str, same_as: str) -> None:
    for run_row in (row(), row(run="auc", model="mini_cnn"), row(seed=2, lr=2.0)):
        assert parse_typed(typed).matches(run_row) == parse_filter(same_as).matches(run_row)


# ---- for every filter and every run ---------------------------------------------------------------------------------

NUMBERS = st.one_of(st.none(), st.just(math.nan), st.floats(0, 1), st.sampled_from([0.5, 0.9]))
WORDS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=8)
ROWS = st.builds(
    row,
    run=WORDS,
    state=st.sampled_from(["completed", "failed", "training"]),
    test_auc=NUMBERS,
    lr=st.one_of(st.none(), st.floats(1e-6, 1)),
    seed=st.one_of(st.none(), st.integers(0, 3)),
    labels=st.builds(Labels, st.lists(WORDS, max_size=2).map(tuple), st.text(max_size=10)),
)
TERMS = st.sampled_from(
    ["auc>0.5", "auc<=0.9", "seed:1", "seed:0,2", "outcome:failed", "tag:a", "lr>=1e-3", "breast", "e"]
)


@given(st.lists(TERMS, max_size=4), ROWS)
def test_a_run_passes_if_it_passes_every_term_in_any_order(terms: list[str], run_row: RunRow) -> None:
    alone = all(parse_filter(term).matches(run_row) for term in terms)
    assert parse_filter(" ".join(terms)).matches(run_row) == alone
    assert parse_filter("  ".join(reversed(terms))).matches(run_row) == alone


@given(TERMS, ROWS)
def test_a_negated_term_passes_exactly_the_other_runs(term: str, run_row: RunRow) -> None:
    assert parse_filter(f"-{term}").matches(run_row) != parse_filter(term).matches(run_row)


@given(st.sampled_from([">", ">=", "<", "<="]), st.floats(0, 1), st.floats(0, 1))
def test_numbers_are_compared_as_numbers(sign: str, found: float, limit: float) -> None:
    order = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}[sign]
    assert parse_filter(f"auc{sign}{limit!r}").matches(row(test_auc=found)) == order(found, limit)
    assert parse_filter(f"lr:{limit!r}").matches(row(lr=limit))


@given(ROWS)
def test_every_run_is_found_by_its_name(run_row: RunRow) -> None:
    name = run_row.run.replace('"', "")
    assert parse_filter(f'"{name}"').matches(run_row) or '"' in run_row.run


@given(st.text(max_size=40), ROWS)
def test_any_text_is_a_filter_or_refused_in_one_sentence(text: str, run_row: RunRow) -> None:
    try:
        found = parse_filter(text)
    except UsageError as error:
        assert error.message
    else:
        assert found.matches(run_row) in (True, False)


@given(TERMS)
def test_terms_are_told_from_words(term: str) -> None:
    assert is_term(term) == is_term(f"-{term}") == (not term.isalpha())


def test_a_thousand_runs_are_filtered_while_a_person_types() -> None:
    """Each key typed into the filter does this once, between two frames of the screen."""
    rows = [row(f"20261120_breastmnist_mini-cnn_{n:06x}", seed=n, test_auc=n / 1000) for n in range(1000)]
    began = time.process_time()
    found = parse_filter("dataset:breast lr>=1e-3 auc>0.5 -tag:bad outcome:completed mini date>=2026").of(rows)
    assert time.process_time() - began < 0.2
    assert [one.seed for one in found] == list(range(501, 1000))
    assert started_at(STARTED).startswith("2026-11-20")


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("training.lr>0.01", True),
        ("training.lr>0.02", False),
        ("-training.lr>0.01", False),
        ("training.lr=2e-2", True),
        ("training.optimizer:adam", True),
        ("training.optimizer=adam", False),
        ("training.optimizer=ADAMW,sgd", True),
        ("training.optimizer!=sgd", True),
        ("augmentation.hflip=true", True),
        ("training.patience>1", False),
    ],
)
def test_a_filter_takes_fields_of_recipes(text: str, passes: bool) -> None:
    query = parse_filter(text)
    found = replace(row(), settings={"training.lr": 0.02, "training.optimizer": "adamw", "augmentation.hflip": True})
    assert query.matches(found) is passes and is_term(text)
    assert [name in text for name in query.settings] == [True], "which the rows are then given"


def test_a_field_that_recipes_lack_says_which_was_meant() -> None:
    with pytest.raises(UsageError, match=r"no field named 'training.lrr'; did you mean training.lr\?"):
        parse_filter("training.lrr>1")
