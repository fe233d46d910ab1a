"""A run stands beside published values of its own data set, size and protocol: in Results and in `show`."""

from __future__ import annotations

import json
import re

import pytest
from driving import medtui
from stand_ins import TESTED, make_run

from engine.contract.data.published import published_for
from engine.contract.recipe.recipe import Recipe
from engine.contract.store.workspace import Workspace
from medtui.cli.show import is_of_model
from medtui.client.runs import read_run_row
from medtui.console.results.screen import load_detail
from medtui.console.results.text import describe_published, published_text

NAME = "20261121_breastmnist_resnet18-adapted_1a2b3c"


@pytest.mark.parametrize("size", [28, 64, 128, 224])
def test_results_names_what_is_published_for_a_run_s_size(workspace: Workspace, size: int) -> None:
    detail = load_detail(read_run_row(make_run(workspace, NAME, size=size)), Recipe)
    lines = published_text(detail).plain.splitlines()
    rows = [line for line in lines if " AUC " in line]
    assert len(rows) == (18 if size == 28 else 11)  # with this run's own
    assert sum("this run" in row for row in rows) == 1
    enlarged = [row for row in rows if "(224)" in row]
    assert len(enlarged) == (2 if size == 28 else 0)
    assert all("28 px enlarged to 224 px" in row for row in enlarged)
    assert sum("weak reference" in row for row in rows) == (10 if size <= 64 else 0)
    assert sum("chosen on the test split" in row for row in rows) == 1
    assert any(line.strip().startswith("Doerrich et al.") for line in lines)
    assert "none" not in lines


def test_for_other_data_results_says_that_nothing_is_published(workspace: Workspace) -> None:
    run = make_run(workspace, NAME, dataset="cells", synthetic=True)
    assert published_text(load_detail(read_run_row(run), Recipe)).plain.splitlines()[-1] == "none"


@pytest.mark.parametrize("size", [28, 224])
def test_a_published_row_of_the_list_is_described_with_its_source(size: int) -> None:
    for one in published_for("breastmnist", size):
        words = describe_published(one.key)
        assert one.source.citation in words and one.remark.lower() in words.lower()
        assert ("chosen on the test split" in words) == (
            one.auc == max(other.auc or 0 for other in published_for("breastmnist", size))
        )
    assert len({one.key for one in published_for("breastmnist", size)}) == (17 if size == 28 else 10)


def test_show_compares_a_run_with_values_of_its_size_only(workspace: Workspace) -> None:
    """The values of BreastMNIST at 224 px, read in the paper's table."""
    make_run(workspace, NAME, size=224)
    shown = json.loads(medtui("show", NAME, "--json", cwd=workspace.root).stdout)
    assert len(shown["published"]) == 10
    assert {(row["size"], row["protocol"]) for row in shown["published"]} == {(224, "end_to_end")}
    text = medtui("show", NAME, "--published", cwd=workspace.root).stdout
    assert "published for this data set and size" in text and "DenseNet-121" in text
    assert f"{TESTED.auc:.3f}" in text
    assert "AutoKeras" not in text


def test_show_names_the_nearest_published_values_first_of_all_those_of_its_model(workspace: Workspace) -> None:
    """Table 3 of the MedMNIST v2 paper has ResNet-18 at 28 px: 0.901, 0.863."""
    make_run(workspace, NAME)
    text = medtui("show", NAME, cwd=workspace.root).stdout
    table = text[text.index("published for") : text.index("more published results")]
    assert "13 more published results: --published shows all." in text
    assert re.search(r"ResNet-18 +.*0\.901 +.*0\.863", table)
    rows = re.findall(r"\d\.\d{3}.+\d\.\d{3}", table)
    assert len(rows) == 5 and "this run" in table


@pytest.mark.parametrize(
    ("method", "model", "same"),
    [
        ("ResNet-18", "resnet18_adapted", True),
        ("ResNet-18", "resnet18", True),
        ("ResNet-18 (224)", "resnet18_adapted", True),
        ("ResNet-50", "resnet18", False),
        ("ViT-B/16", "vit_b_16", True),
        ("auto-sklearn", None, False),
        ("", "", False),
    ],
)
def test_a_published_method_is_recognized_as_a_model_of_ours(method: str, model: str | None, same: bool) -> None:
    assert is_of_model(method, model) is same


def test_show_compares_neither_a_subset_run_nor_a_synthetic_one(workspace: Workspace) -> None:
    make_run(workspace, NAME, limit=256)
    make_run(workspace, "20261120_cells_mini-cnn_0a0b0c", dataset="cells", synthetic=True)
    for name in (NAME, "20261120_cells_mini-cnn_0a0b0c"):
        assert json.loads(medtui("show", name, "--json", cwd=workspace.root).stdout)["published"] == []
        assert "published" not in medtui("show", name, cwd=workspace.root).stdout
