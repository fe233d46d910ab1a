"""A kind of data source added as described in CONTRIBUTING, to a copy of the product: `dataset: {stripes: 3}`.

Two files of the copy are touched; everything that reads recipes then knows the kind.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from driving import json_lines

ROOT = Path(__file__).resolve().parents[2]
SOURCES, DECODER = "engine/contract/recipe/sources.py", "engine/data/stripes_source.py"

FIELD = """
    stripes: Annotated[int, Field(ge=2, le=9)] | None = setting(
        None, title="Stripes", help="Images of stripes, of as many widths.", unit="classes"
    )
    contrast: Annotated[int, Field(ge=1, le=100)] = setting(
        100, title="Contrast of stripes", help="How far stripes are from grey.", unit="percent"
    )
"""
KIND = """
from engine.contract.recipe.data_source import Found, SearchPaths


@dataclass(frozen=True)
class StripesSource(DataSource):
    decoder = "engine.data.stripes_source:decoded_stripes"
    contrast: int

    def status(self, search_paths: SearchPaths) -> Found:
        return Found(f"{self.facts.classes} widths of stripes, no file needed")


def _stripes_facts(classes: int) -> DatasetFacts:
    return DatasetFacts(
        name="stripes",
        title="Stripes",
        description="Stripes of several widths.",
        task="multi_class",
        channels=1,
        splits={"train": 48, "val": 24, "test": 24},
        class_names=tuple(f"{width} px" for width in range(1, classes + 1)),
        licence="MIT",
        symmetry="none",
        archives={},
        sizes=(28, 64),
        synthetic=True,
    )


def _stripes(section: DatasetSection) -> DataSource:
    return StripesSource(_stripes_facts(section.stripes or 2), section.size, section.contrast)


STRIPES = Kind("stripes", _stripes, ("contrast",), sets=lambda: [_stripes_facts(2)])
"""
MODULE = '''
"""Stripes as a source."""

import numpy as np

from engine.contract.data.datasets import SPLITS
from engine.data.archive import MEMBERS
from engine.data.cache import CacheEntry, Decoded
from engine.data.cache_entry import digest_of


def decoded_stripes(source, access):
    key = f"{source.facts.label(source.size)}-{source.facts.classes}-{source.contrast}"
    entry = CacheEntry(key, None, access.on_read)

    def fill(folder):
        for split in SPLITS:
            images, labels = drawn(source, source.facts.splits[split])
            for part, values in (("images", images), ("labels", labels)):
                with (folder / f"{split}_{part}.npy").replacing(durable=False) as file:
                    np.save(file, values)
        return {name: digest_of(folder / f"{name}.npy") for name in MEMBERS}

    digests = entry.ensure(fill, access.log, access.warn, "generating stripes")
    return Decoded(entry.folder, source.facts, key, None, False, digests, access.on_read)


def drawn(source, n):
    labels = np.arange(n) % source.facts.classes
    columns = np.arange(source.size)
    bright = (columns[None, :] // (labels[:, None] + 1)) % 2
    rows = np.round(127.5 + (bright - 0.5) * 2.55 * source.contrast).astype(np.uint8)
    return np.repeat(rows[:, None, :], source.size, axis=1), labels.astype(np.uint8)[:, None]
'''
RECIPE: dict[str, dict[str, Any]] = {
    "dataset": {"stripes": 3},
    "model": {"name": "mini_cnn", "pretrained": False},
    "training": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0},
    "evaluation": {"tta": False},
    "runtime": {"threads": 1},
}


def edited(text: str, before: str, after: str) -> str:
    assert text.count(before) == 1, before
    return text.replace(before, after)


class ProductCopy:
    """A copy of the product with one more kind of source."""

    def __init__(self, root: Path) -> None:
        self.root = root
        junk = shutil.ignore_patterns("outputs")
        for folder in ("engine", "medtui", "recipes", "docs"):
            shutil.copytree(ROOT / folder, root / folder, ignore=junk)
        text = (root / SOURCES).read_text()
        text = edited(
            text, '\n    @model_validator(mode="before")\n', FIELD + '\n    @model_validator(mode="before")\n'
        )
        start, kinds, rest = text.partition("\nKINDS = ")
        first, _, later = rest.partition(")}")
        (root / SOURCES).write_text(f"{start}\n{KIND}{kinds}{first}, STRIPES)}}{later}")
        (root / DECODER).write_text(MODULE.lstrip())

    def python(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-P", *arguments],
            cwd=cwd or self.root,
            capture_output=True,
            text=True,
            timeout=480,
            env={**os.environ, "PYTHONPATH": str(self.root), "MEDTUI_OFFLINE": "1"},
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    def medtui(self, *arguments: str | Path, cwd: Path) -> str:
        return self.python("-c", "from medtui.cli import main; main()", *map(str, arguments), cwd=cwd)

    def values(self, code: str) -> Any:
        """What a script that prints JSON found."""
        return json.loads(self.python("-c", code))


@pytest.fixture(scope="module")
def product_copy(tmp_path_factory: pytest.TempPathFactory) -> ProductCopy:
    return ProductCopy(tmp_path_factory.mktemp("product"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("workspace")
    (workspace / "stripes.yaml").write_text(json.dumps(RECIPE))
    return workspace


def test_two_files_of_the_product_are_touched(product_copy: ProductCopy) -> None:
    touched: set[str] = set()

    def compare(found: filecmp.dircmp[str], below: str) -> None:
        assert found.common_files or found.common_dirs or below
        others = [*found.diff_files, *found.right_only, *found.left_only]
        touched.update(f"{below}{name}" for name in others if name != "__pycache__")
        for name, folder in found.subdirs.items():
            compare(folder, f"{below}{name}/")

    for package in ("engine", "medtui", "recipes"):
        compare(filecmp.dircmp(ROOT / package, product_copy.root / package, ignore=["__pycache__"]), f"{package}/")
    assert touched == {SOURCES, DECODER}


def test_recipes_schema_and_form_know_its_fields(product_copy: ProductCopy, workspace: Path) -> None:
    told = product_copy.medtui("recipe", "validate", "stripes.yaml", cwd=workspace)
    assert "is valid: stripes 28 px, mini_cnn, 1 epoch" in told
    assert "stripes" in product_copy.medtui("recipe", "schema", cwd=workspace)
    rows = product_copy.values(
        "import json\n"
        "from engine.contract.recipe.recipe import Recipe\n"
        "from medtui.client.recipe_document import check, with_value\n"
        "from medtui.console.recipes.form import RecipeForm\n"
        "form = RecipeForm(Recipe, 'form')\n"
        "form.show(check(with_value('dataset: {stripes: 3}', 'dataset', 'contrast', '40')))\n"
        "print(json.dumps({row.spec.path: [row.spec.title, row.value, row.spec.unit] for row in form.rows}))\n"
    )
    assert rows["dataset.stripes"] == ["Stripes", "3", "classes"]
    assert rows["dataset.contrast"] == ["Contrast of stripes", "40", "percent"]
    assert rows["dataset.name"][1] == "bloodmnist" or rows["dataset.name"][1] == "null"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"stripes": 3, "name": "cells"}, "dataset.stripes cannot be combined with `name`"),
    ({"stripes": 3, "md5": "0" * 32}, "dataset.md5 belongs to `name`, but the source is `stripes`: remove it"),
    ({"contrast": 40}, "dataset.contrast belongs to `stripes`, but the source is `name`: remove it"),
    ({"stripes": 12}, "dataset.stripes must be a whole number from 2 to 9 or null, found 12"),
    ({"stripes": 3, "size": 128}, "dataset.size must be 28 or 64 px for stripes, found 128"),
    ({"name": None}, "dataset.name must be the name of a data set, found nothing"),
]


def test_invalid_values_are_reported_by_field(product_copy: ProductCopy) -> None:
    found = product_copy.values(
        "import json\n"
        "from engine.contract.recipe.reader import build_recipe\n"
        "from engine.contract.wire.errors import RecipeError\n"
        "found = []\n"
        f"for section in {[section for section, _ in REFUSED]!r}:\n"
        "    try:\n"
        "        found.append(build_recipe({'dataset': section, 'model': {'name': 'mini_cnn'}}) and '')\n"
        "    except RecipeError as error:\n"
        "        found.append(error.message)\n"
        "print(json.dumps(found))\n"
    )
    for (_, said), message in zip(REFUSED, found, strict=True):
        assert said in message


def test_its_facts_are_checked_against_the_recipe(product_copy: ProductCopy) -> None:
    told = product_copy.values(
        "import json\n"
        "from engine.contract.recipe.reader import build_recipe, recipe_from_values\n"
        "from engine.contract.wire.errors import RecipeError\n"
        "values = {'dataset': {'stripes': 3}, 'training': {'batch_size': 128}, 'augmentation': {'hflip': 0.5}}\n"
        "recipe_from_values(values)\n"
        "try:\n"
        "    build_recipe(values)\n"
        "except RecipeError as error:\n"
        "    print(json.dumps(['.'.join(problem.path) for problem in error.problems]))\n"
    )
    assert told == ["augmentation.hflip", "training.batch_size"]


def test_no_hash_of_another_recipe_changes(product_copy: ProductCopy, workspace: Path, tmp_path: Path) -> None:
    code = (
        "import json\n"
        "from engine.contract.recipe.identity import recipe_hash\n"
        "from engine.contract.recipe.reader import build_recipe\n"
        "sections = [{}, {'name': 'cells', 'limit': 640}, {'name': 'pathmnist', 'archive': 'x.npz', 'md5': '0' * 32}]\n"
        "print(json.dumps([recipe_hash(build_recipe({'dataset': section})) for section in sections]))\n"
    )
    here = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert product_copy.values(code) == json.loads(here)
    hashes = {
        json.loads(product_copy.medtui("recipe", "validate", *arguments, "--json", cwd=folder))["recipe_hash"]
        for folder, arguments in ((workspace, ["stripes.yaml"]), (tmp_path, [written(tmp_path, stripes=4)]))
    }
    assert len(hashes) == 2


def written(folder: Path, **section: Any) -> Path:
    path = folder / "other.yaml"
    path.write_text(json.dumps({**RECIPE, "dataset": section}))
    return path


@pytest.mark.slow
def test_preflight_doctor_and_documents_know_it(product_copy: ProductCopy, workspace: Path, tmp_path: Path) -> None:
    ready = product_copy.values(
        "import json\n"
        "from dataclasses import asdict\n"
        "from datetime import date\n"
        "from pathlib import Path\n"
        "from engine.contract.recipe.reader import build_recipe\n"
        "from engine.contract.store.workspace import Workspace\n"
        "from medtui.client.preflight import preflight\n"
        f"recipe = build_recipe(json.loads({json.dumps(RECIPE)!r}))\n"
        f"print(json.dumps(asdict(preflight(recipe, Workspace(Path({str(tmp_path)!r})), [], date(2026, 1, 2)))))\n"
    )
    assert (ready["data"], ready["data_ok"], ready["steps"]) == ("3 widths of stripes, no file needed", True, 3)
    assert ready["run"].startswith("20260102_stripes_mini-cnn_")
    sets = json.loads(product_copy.medtui("data", "list", "--json", cwd=workspace))
    assert [one["files"] for one in sets if one["name"] == "stripes"] == [[]]
    code = "import sys\nfrom medtui.cli import main\nsys.argv = ['medtui', 'doctor', '--json']\n"
    checks = product_copy.python("-c", code + "try:\n    main()\nexcept SystemExit:\n    pass\n", cwd=workspace)
    (data,) = [check for check in json.loads(checks)["checks"] if check["id"] == "data"]
    assert "stripes" in json.dumps(data)
    product_copy.python("docs/make_recipes_page.py")
    page = (product_copy.root / "docs" / "recipes.md").read_text()
    assert "| `stripes` | `null` | a whole number from 2 to 9 or null | classes | yes | Images of stripes" in page


@pytest.mark.slow
def test_the_engine_trains_on_it_and_evaluates_again(product_copy: ProductCopy, workspace: Path) -> None:
    events = json_lines(product_copy.medtui("run", "stripes.yaml", "--json", cwd=workspace))
    (started,) = [event for event in events if event["event"] == "run.started"]
    assert (started["dataset"], started["class_names"], started["synthetic"]) == (
        "stripes",
        ["1 px", "2 px", "3 px"],
        True,
    )
    assert started["images"] == {"train": 48, "val": 24, "test": 24}
    assert events[-1]["outcome"] == "completed"
    run = Path(started["run_dir"])
    assert run.name.split("_")[1] == "stripes"
    hashes = [
        json.loads(product_copy.medtui("recipe", "validate", path, "--json", cwd=workspace))["recipe_hash"]
        for path in ("stripes.yaml", run / "recipe.yaml")
    ]
    assert hashes[0] == hashes[1] == started["recipe_hash"]
    again = json.loads(product_copy.medtui("evaluate", "last", "--json", cwd=workspace))
    (tested,) = [event for event in events if event["event"] == "evaluation.finished"]
    assert (again["auc"], again["acc"]) == (tested["metrics"]["auc"], tested["metrics"]["acc"])
