"""The walk of a new model: an entry in the catalogue and a builder, as CONTRIBUTING has it, and everything knows it.

It is walked in a copy of the product, with a network of torchvision's that is not in the catalogue.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from driving import MEDTUI, json_lines, tiny, yaml_of
from torchvision.models import mobilenet_v3_small

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = "engine/contract/models/catalogue.py"
BUILDER = "engine/model/mobilenet.py"

ENTRY = """MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="mobilenet_v3_small",
        title="MobileNetV3-Small",
        family="MobileNetV3",
        summary="1.5 million parameters, for fast inference",
        builder="engine.model.mobilenet:small",
        parameters=1_500_000,
        activations=1.5e6,
        classifier=("classifier.3.weight", "classifier.3.bias"),
        weights=WeightsSpec(
            trained_on="ImageNet",
            file_name="mobilenet_v3_small-{sha256}.pth",
            url="https://download.pytorch.org/models/mobilenet_v3_small-{sha256}.pth",
            sha256="{sha256}",
            bytes=10_000_000,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        ),
        decays_norms=False,
        spellings=("smallmobilenet",),
    ),
"""
FUNCTION = """from torch import nn

from engine.model.plan import ModelPlan


def small(plan: ModelPlan) -> nn.Module:
    from torchvision.models import mobilenet_v3_small

    return mobilenet_v3_small(weights=None, num_classes=plan.classes, dropout=plan.dropout)
"""

# What the torch-free side knows, said by itself
QUESTIONS = """
import json, sys
from datetime import date
from pathlib import Path
from engine.contract.recipe.names import alternatives
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.schema import fields
from engine.contract.store.workspace import Workspace
from medtui.client.preflight import preflight
from medtui.machine.checks import check_published_weights
from medtui.console.recipes.choices import choices_of

recipe = build_recipe({"dataset": {"name": "cells"}, "model": {"name": "MobileNet-V3 Small", "pretrained": True}})
ready = preflight(recipe, Workspace(Path(sys.argv[1])), [], date(2026, 11, 26))
print(json.dumps({
    "name": recipe.model.name,
    "schema": Recipe.model_json_schema()["$defs"]["ModelSection"]["properties"]["name"]["anyOf"][0]["enum"],
    "choices": fields()["model.name"].choices,
    "form": [choice.value for choice in choices_of(fields()["model.name"])],
    "misspelt": alternatives("model", "mobilenet_v3_smal", fields()["model.name"].choices),
    "other word": alternatives("model", "small mobilenet", fields()["model.name"].choices),
    "weights": [ready.weights, ready.weights_ok],
    "run": ready.run,
    "doctor": [[check.level, check.found] for check in check_published_weights()],
    "torch": "torch" in sys.modules,
}))
"""


class ProductCopy:
    """A copy of the product, and commands run from it."""

    def __init__(self, root: Path, sha256: str) -> None:
        self.root, self.sha256 = root, sha256
        for name in ("engine", "medtui", "recipes", "docs"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("pictures"))
        catalogue = root / CATALOGUE
        text = catalogue.read_text()
        marker = "MODELS: tuple[ModelSpec, ...] = (\n"
        assert text.count(marker) == 1
        catalogue.write_text(text.replace(marker, ENTRY.replace("{sha256}", sha256)))
        (root / BUILDER).write_text(FUNCTION)

    def __call__(self, *command: str, cwd: Path, **environment: str) -> str:
        variables = {**os.environ, "PYTHONPATH": str(self.root), **environment}
        done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout


@pytest.fixture(scope="module")
def torch_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where torchvision would keep the weights; a file in their layout lies there."""
    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(1)
    torch.save(mobilenet_v3_small(weights=None).state_dict(), folder / "weights.pth")
    digest = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()[:8]
    (folder / "weights.pth").rename(folder / f"mobilenet_v3_small-{digest}.pth")
    return home


@pytest.fixture(scope="module")
def weights(torch_home: Path) -> Path:
    return next((torch_home / "hub" / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def product_copy(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> ProductCopy:
    return ProductCopy(tmp_path_factory.mktemp("product"), weights.stem.rpartition("-")[2])


@pytest.fixture(scope="module")
def known(product_copy: ProductCopy, torch_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("asked")
    said = product_copy(sys.executable, "-c", QUESTIONS, str(folder), cwd=folder, TORCH_HOME=str(torch_home))
    answers: dict[str, Any] = json.loads(said)
    return answers


def test_the_steps_touch_two_product_files(product_copy: ProductCopy) -> None:
    changed = {
        path.relative_to(product_copy.root).as_posix()
        for path in product_copy.root.rglob("*.py")
        if not (ROOT / path.relative_to(product_copy.root)).is_file()
        or (ROOT / path.relative_to(product_copy.root)).read_bytes() != path.read_bytes()
    }
    assert changed == {CATALOGUE, BUILDER}


def test_recipe_schema_and_form_know_it(known: dict[str, Any]) -> None:
    assert known["name"] == "mobilenet_v3_small"
    assert "mobilenet_v3_small" in known["schema"]
    assert known["choices"] == known["schema"]
    assert known["form"] == [*known["choices"], None], "and any other, as it is typed"


def test_it_is_suggested_for_a_misspelt_name_and_its_synonym(known: dict[str, Any]) -> None:
    for asked in ("misspelt", "other word"):
        assert "did you mean mobilenet_v3_small?" in known[asked]


def test_preflight_and_doctor_know_its_weights(known: dict[str, Any], weights: Path) -> None:
    assert known["weights"] == ["ImageNet file found", True]
    assert known["run"].startswith("20261126_cells_mobilenet-v3-small_")
    assert ["pass", str(weights)] in known["doctor"]
    assert not known["torch"]


def test_the_page_of_recipes_documents_it(product_copy: ProductCopy) -> None:
    program = "import make_recipes_page as page; print(page.field_tables())"
    said = product_copy(sys.executable, "-X", "utf8", "-c", program, cwd=product_copy.root / "docs")
    assert "`mobilenet_v3_small`: 1.5 million parameters, for fast inference" in said


@pytest.mark.slow
def test_it_trains_from_its_published_weights_and_is_evaluated(
    product_copy: ProductCopy, torch_home: Path, tmp_path: Path
) -> None:
    recipe = tiny(
        dataset={"limit": 32},
        model={"name": "mobilenet_v3_small", "pretrained": True, "dropout": 0.1},
        training={"epochs": 1},
    )
    (tmp_path / "recipe.yaml").write_text(yaml_of(recipe))
    said = product_copy(*MEDTUI, "run", "recipe.yaml", "--json", cwd=tmp_path, TORCH_HOME=str(torch_home))
    events = json_lines(said)
    assert events[-1]["outcome"] == "completed"
    started = next(event for event in events if event["event"] == "run.started")
    assert started["model"] == "mobilenet_v3_small"
    own = sum(parameter.numel() for parameter in mobilenet_v3_small(weights=None, num_classes=8).parameters())
    assert started["parameters"] == own
    assert started["decisions"]["weights"] == f"ImageNet weights, mobilenet_v3_small-{product_copy.sha256}.pth"
    (listed,) = json.loads(product_copy(*MEDTUI, "runs", "--json", cwd=tmp_path))
    assert (listed["model"], listed["weights"]) == ("mobilenet_v3_small", "ImageNet")
    bundle = json.loads((Path(started["run_dir"]) / "checkpoints" / "model.json").read_text())
    assert bundle["model"] == "mobilenet_v3_small"
    product_copy(*MEDTUI, "evaluate", "last", cwd=tmp_path)
