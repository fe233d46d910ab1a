"""Published values are compared only with runs on images of their size."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest

from engine.contract.data.datasets import SIZES, datasets
from medtui.console.results.published import published, published_for

NAMES = [name for name, facts in datasets().items() if not facts.synthetic]


@pytest.mark.parametrize("size", [size for size in SIZES if size != 28])
def test_upsampled_28_px_images_are_never_compared_with_real_larger_ones(size: int) -> None:
    """Table 3's "(224)" columns are of 28 px images, according to its authors."""
    assert [one for name in NAMES for one in published_for(name, size)] == []


def test_every_value_at_28_px_is_that_of_the_published_table() -> None:
    text = (files("medtui.console.data") / "published_medmnist_v2.csv").read_text(encoding="utf-8")
    rows = {row["dataset"]: row for row in csv.DictReader(line for line in text.splitlines() if line[0] != "#")}
    assert set(rows) == set(NAMES)
    for name in NAMES:
        found = {one.method: (one.auc, one.acc) for one in published_for(name, 28)}
        assert len(found) == 5
        assert found["ResNet-18"] == (float(rows[name]["resnet18_28_auc"]), float(rows[name]["resnet18_28_acc"]))
        assert found["ResNet-50"] == (float(rows[name]["resnet50_28_auc"]), float(rows[name]["resnet50_28_acc"]))
    assert len(published()) == 5 * len(NAMES)
