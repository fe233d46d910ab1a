"""The wheel works alone: installed into a separate folder, away from the source tree."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from delivered import Installed

ROOT = Path(__file__).resolve().parents[2]
MEDTUI = ("-P", "-c", "from medtui.cli import main; main()")

pytestmark = pytest.mark.slow
Run = Callable[..., subprocess.CompletedProcess[str]]
# what is installed under another name, where no package of this machine says so: an extra that development does without
PROVIDER = {"mlflow": "mlflow-skinny"}


@pytest.fixture
def python(installed: Installed, tmp_path: Path) -> Run:
    """The interpreter in a folder without `.git` or README, the wheel's target its only source of medtui."""

    def run(*arguments: str, path: Path | None = installed.target) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        if path is not None:
            environment["PYTHONPATH"] = str(path)
        return subprocess.run(
            [installed.python, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_recipes_facts_styles_and_the_licence(wheel: Path) -> None:
    """Every file of the packages that is no module, every shipped recipe, and nothing of the tests."""
    held = members(wheel)
    recipes = {f"engine/recipes/{path.name}" for path in (ROOT / "recipes").glob("*.yaml")}
    assert {"engine/recipes/quickstart.yaml", "engine/recipes/bloodmnist.yaml"} <= recipes <= held
    data = {
        path.relative_to(ROOT).as_posix()
        for package in ("engine", "medtui")
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".json", ".csv", ".tcss")
    }
    assert {"engine/contract/data/datasets.json", "medtui/console/styles.tcss"} <= data <= held
    (licence,) = [name for name in held if name.endswith(".dist-info/licenses/LICENSE")]
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert {name.split("/")[0] for name in held if ".dist-info/" not in name} == {"engine", "medtui"}


def test_whatever_is_imported_is_a_declared_dependency(wheel: Path, installed: Installed) -> None:
    """A transitive dependency may disappear. Imports within `try` are optional."""
    (metadata,) = [name for name in members(wheel) if name.endswith(".dist-info/METADATA")]
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(metadata).decode()
    required = re.findall(r"^Requires-Dist: ([\w.-]+)(?!.*extra ==)", text, re.MULTILINE)
    # of what few users need: a missing one is one sentence, as tests/end_to_end/test_export.py and test_predict.py show
    extras = re.findall(r"^Requires-Dist: ([\w.-]+).*extra == .(?!dev)", text, re.MULTILINE)
    declared = {canonical(name) for name in (*required, *extras)}
    if "pydantic" in declared:
        declared.add("pydantic-core")  # pydantic's other half: pinned by it, and its manual imports from it
    assert len(declared) > 10
    providers = packages_distributions()
    own = {"engine", "medtui", "__future__", *sys.stdlib_module_names}
    imported = {
        (name, path.relative_to(installed.target).as_posix())
        for package in ("engine", "medtui")
        for path in (installed.target / package).rglob("*.py")
        for name in needed_imports(path)
        if name not in own
    }
    assert {name for name, _ in imported} >= {"torch", "pydantic", "textual"}
    undeclared = [
        f"{name} in {path}"
        for name, path in sorted(imported)
        if not declared
        & {canonical(distribution) for distribution in providers.get(name) or [PROVIDER.get(name, name)]}
    ]
    assert undeclared == []


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed_imports(path: Path) -> Iterator[str]:
    """Top-level names that a module imports, wherever in it, but not within `try`, nor for types alone."""
    unseen: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while unseen:
        node = unseen.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            unseen += node.orelse
        elif not isinstance(node, ast.Try):
            unseen += ast.iter_child_nodes(node)


def test_without_the_wheel_medtui_is_not_importable(python: Run) -> None:
    """Else the tests below would show nothing."""
    for package in ("medtui", "engine.contract"):
        assert "No module named" in python("-P", "-c", f"import {package}", path=None).stderr


def test_an_installed_medtui_prints_its_version(python: Run, installed: Installed) -> None:
    assert python(*MEDTUI, "--version").stdout == "medtui 0.1.0\n"
    script = subprocess.run(
        [installed.target / "bin" / "medtui", "--version"],
        env={"PYTHONPATH": str(installed.target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert script.stdout == "medtui 0.1.0\n", script.stderr


def test_an_installed_medtui_knows_its_recipes(python: Run) -> None:
    ended = python(*MEDTUI, "recipe", "validate", "quickstart")
    assert ended.returncode == 0, ended.stderr
    assert "quickstart.yaml is valid: cells 28 px" in ended.stdout


def test_an_unknown_flag_is_bad_usage(python: Run) -> None:
    """With whichever click the installed typer brings."""
    ended = python(*MEDTUI, "run", "--nosuch")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--nosuch" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_installed_medtui_trains(python: Run, installed: Installed, tmp_path: Path) -> None:
    """Console side and engine both from the wheel; the run lands in the current folder, which has no marker."""
    where = "import engine, medtui; print(engine.__file__, medtui.__file__)"
    assert all(Path(file).is_relative_to(installed.target) for file in python("-P", "-c", where).stdout.split())
    tiny = ["training.epochs=1", "dataset.limit=64", "model.name=mini_cnn", "runtime.threads=1"]
    settings = [word for value in tiny for word in ("--set", value)]
    ended = python(*MEDTUI, "run", "quickstart", *settings, "--json")
    assert ended.returncode == 0, ended.stderr
    finished = json.loads(ended.stdout.splitlines()[-1])
    run = Path(finished["run_dir"])
    assert (finished["outcome"], run.parent) == ("completed", tmp_path / "outputs")
    assert (run / "checkpoints" / "best.safetensors").is_file()
    assert (run / "reports" / "report.xlsx").is_file()
    assert json.loads((run / "manifest.json").read_text())["versions"]["medtui"] == "0.1.0"
