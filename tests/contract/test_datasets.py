"""The contract's facts about the data sets match those of their publishers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from medmnist import info

from engine.contract.data.datasets import SIZES, SPLITS, datasets

OFFICIAL = {name: entry for name, entry in info.INFO.items() if not name.endswith("3d")}
TASKS = {
    "binary-class": "binary",
    "multi-class": "multi_class",
    "ordinal-regression": "ordinal",
    "multi-label, binary-class": "multi_label",
}


def test_the_publishers_list_names_twelve_2d_sets() -> None:
    assert len(OFFICIAL) == 12


def test_the_sets_are_exactly_the_twelve_and_cells() -> None:
    assert set(datasets()) == {*OFFICIAL, "cells"}
    assert all(name == facts.name for name, facts in datasets().items())


@pytest.mark.parametrize("name", OFFICIAL)
def test_facts_are_those_of_the_medmnist_package(name: str) -> None:
    facts, official = datasets()[name], OFFICIAL[name]
    assert facts.title == official["python_class"]
    assert facts.task == TASKS[official["task"]]
    assert facts.channels == official["n_channels"]
    assert facts.splits == official["n_samples"]
    assert tuple(facts.splits) == SPLITS
    assert facts.class_names == tuple(official["label"][str(index)] for index in range(len(official["label"])))
    assert facts.classes == len(official["label"])
    assert facts.licence == official["license"]
    assert not facts.synthetic


@pytest.mark.parametrize("size", [28, 64, 128, 224])
@pytest.mark.parametrize("name", OFFICIAL)
def test_every_size_has_the_published_file_and_md5(name: str, size: int) -> None:
    archive, suffix = datasets()[name].archives[size], "" if size == 28 else f"_{size}"
    assert archive.url == OFFICIAL[name][f"url{suffix}"]
    assert archive.md5 == OFFICIAL[name][f"MD5{suffix}"]
    assert archive.file_name == f"{name}{suffix}.npz"  # where medmnist saves and looks for it
    assert archive.url.endswith(f"/{archive.file_name}?download=1")


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_twelve_come_in_four_sizes(name: str) -> None:
    assert datasets()[name].sizes == SIZES == (28, 64, 128, 224)


def test_only_organ_sets_distinguish_left_from_right() -> None:
    no_symmetry = {name for name, facts in datasets().items() if facts.symmetry == "none"}
    assert no_symmetry == {"organamnist", "organcmnist", "organsmnist"}
    assert no_symmetry == {name for name, facts in datasets().items() if facts.orientation_matters}


def test_sets_whose_classes_name_a_side_have_no_symmetry() -> None:
    """`femur-left` mirrored would be a picture of the class `femur-right`."""
    sided = [name for name, entry in OFFICIAL.items() if any("left" in label for label in entry["label"].values())]
    assert sided, "no data set names a side"
    for name in sided:
        assert datasets()[name].symmetry == "none", name


def test_cells_are_synthetic_and_need_no_file() -> None:
    cells = datasets()["cells"]
    assert (cells.synthetic, cells.archives, cells.sizes) == (True, {}, (28,))
    assert set(cells.splits) == set(SPLITS)
    assert [name for name, facts in datasets().items() if facts.synthetic] == ["cells"]


def test_the_default_size_is_not_named_and_others_are() -> None:
    """MedMNIST's convention: `BreastMNIST`, `BreastMNIST-64`."""
    assert datasets()["breastmnist"].label(28) == "breastmnist"
    assert datasets()["breastmnist"].label(64) == "breastmnist-64"


def test_reading_the_facts_loads_neither_medmnist_nor_torch() -> None:
    program = (
        "import sys; from engine.contract.data.datasets import datasets; assert len(datasets()) == 13; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'medmnist', 'torch', 'torchvision', 'numpy'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_official_archive_can_be_larger_than_its_arrays_as_long_as_deflate_can_make_them() -> None:
    """Pixels of one byte and labels of eight; deflate adds 5 bytes to each 16 KiB at most (RFC 1951), below 0.03 %."""
    breast, chest = datasets()["breastmnist"], datasets()["chestmnist"]
    assert (breast.channels, breast.classes, chest.channels, chest.classes) == (1, 2, 1, 14)
    for facts, size, labels in ((breast, 28, 1), (datasets()["pathmnist"], 64, 1), (chest, 224, 14)):
        arrays = sum(facts.splits.values()) * (facts.channels * size * size + 8 * labels)
        assert arrays * (1 + 5 / 16384) + 6 * 128 < facts.largest(size) < arrays * 1.0005 + 20_000
