"""Published values: as their sources have them, beside runs of the same images and protocol only."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contract.data.datasets import SIZES, datasets
from engine.contract.data.published import PLUS, V2, published, published_for, references, remarks

NAMES = [name for name, facts in datasets().items() if not facts.synthetic]


def table(path: Path) -> Iterator[dict[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return csv.DictReader(line for line in lines if not line.startswith("#"))


@pytest.mark.real_data
def test_every_value_of_table_3_is_the_published_one(real_data: Path) -> None:
    rows = {row["dataset"]: row for row in table(real_data / "published_medmnist_v2.csv")}
    columns = {
        "ResNet-18": "resnet18_28",
        "ResNet-18 (224)": "resnet18_224",
        "ResNet-50": "resnet50_28",
        "ResNet-50 (224)": "resnet50_224",
        "auto-sklearn": "autosklearn",
        "AutoKeras": "autokeras",
        "Google AutoML Vision": "google_automl",
    }
    found = [one for one in published() if one.source is V2]
    assert set(rows) == set(NAMES) and len(found) == len(rows) * len(columns)
    for one in found:
        row, column = rows[one.dataset], columns[one.method]
        assert (one.auc, one.acc) == (float(row[f"{column}_auc"]), float(row[f"{column}_acc"]))


@pytest.mark.real_data
def test_every_value_of_medmnist_plus_is_the_published_one(real_data: Path) -> None:
    def value(text: str) -> float | None:
        return float(text) if text else None

    rows = list(table(real_data / "published_medmnist_plus.csv"))
    expected = {
        (row["dataset"], int(row["size"]), row["protocol"], row["model"]): tuple(
            value(row[name]) for name in ("auc", "auc_sd", "acc", "acc_sd")
        )
        for row in rows
    }
    found = {
        (one.dataset, one.size, one.protocol, one.method): (one.auc, one.auc_sd, one.acc, one.acc_sd)
        for one in published()
        if one.source is PLUS
    }
    assert len(rows) == len(expected) == 1440
    assert found == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_compared_with_values_of_its_data_set_size_and_protocol_only(name: str, size: int) -> None:
    found = published_for(name, size)
    assert {(one.dataset, one.size, one.protocol) for one in found} == {(name, size, "end_to_end")}
    assert {one.source for one in found} == ({V2, PLUS} if size == 28 else {PLUS})
    assert len(found) == (17 if size == 28 else 10)
    aucs = [one.auc for one in found]
    assert None not in aucs and aucs == sorted(aucs, reverse=True)


def test_the_columns_of_table_3_that_say_224_are_named_as_enlarged_28_px_images() -> None:
    for name in NAMES:
        enlarged = [one for one in published_for(name, 28) if "(224)" in one.method]
        assert [one.method for one in enlarged].count("ResNet-18 (224)") == 1 and len(enlarged) == 2
        assert all(remarks(one, enlarged)[0] == "28 px enlarged to 224 px" for one in enlarged)
        assert not [one for one in published_for(name, 224) if one.source is V2]
        assert not [one for one in references(name, 28) if one.remark]  # nor in the list of runs


@pytest.mark.parametrize(("size", "weak"), [(28, True), (64, True), (128, False), (224, False)])
def test_small_images_in_a_large_frame_are_named_as_weak_references(size: int, weak: bool) -> None:
    found = [one for one in published_for("bloodmnist", size) if one.source is PLUS]
    assert len(found) == 10
    assert {"weak reference" in one.remark for one in found} == {weak}
    assert len(references("bloodmnist", size)) == {28: 5, 64: 10, 128: 10, 224: 10}[size]  # weak ones where no other is


def test_the_highest_of_many_is_marked_as_chosen_on_the_test_split() -> None:
    found = published_for("breastmnist", 224)
    marked = [one for one in found if any("chosen on the test split" in words for words in remarks(one, found))]
    assert marked == [one for one in found if one.auc == max(other.auc or 0 for other in found)] and marked
    assert remarks(found[0], found[:1]) == []  # a single one was not chosen


def test_nothing_is_published_for_other_data() -> None:
    assert published_for("cells", 28) == references("cells", 28) == []
