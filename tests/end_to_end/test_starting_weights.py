"""A run's starting weights are described in the same words wherever it is listed, shown or reported."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pytest
from driving import json_lines, medtui, tiny, yaml_of

from engine.contract.recipe.recipe import Recipe
from engine.contract.wire.errors import RecipeError
from medtui.cli.compose import compose
from medtui.client.preflight import weights_state


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "recipe.yaml").write_text(yaml_of(tiny(dataset={"limit": 32}, training={"epochs": 1})))
    return folder


@pytest.fixture(scope="module")
def scratch(workspace: Path) -> Path:
    return trained(workspace)


@pytest.fixture(scope="module")
def continued(workspace: Path, scratch: Path) -> Path:
    """Of the best weights of the other."""
    return trained(workspace, f"training.init_from={scratch.name}")


def trained(workspace: Path, *words: str) -> Path:
    done = medtui("run", "recipe.yaml", *words, "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    return Path(json_lines(done.stdout)[-1]["run_dir"])


def description_of(scratch: Path, continued: Path) -> dict[str, str]:
    return {scratch.name: "from scratch", continued.name: f"run {scratch.name}"}


def test_lists_and_show_show_it(workspace: Path, scratch: Path, continued: Path) -> None:
    expected = description_of(scratch, continued)
    listed = json.loads(medtui("runs", "--json", cwd=workspace).stdout)
    assert {run["run"]: run["weights"] for run in listed} == expected
    table = medtui("runs", cwd=workspace).stdout
    assert "weights" in table and "from scratch" in table
    for name, words in expected.items():
        assert json.loads(medtui("show", name, "--json", cwd=workspace).stdout)["weights"] == words
    assert "mini_cnn from scratch" in medtui("show", scratch.name, cwd=workspace).stdout
    assert f"mini_cnn from run {scratch.name}" in medtui("show", continued.name, cwd=workspace).stdout


def test_the_report_shows_it(scratch: Path, continued: Path) -> None:
    for run in (scratch, continued):
        summary = openpyxl.load_workbook(run / "reports" / "report.xlsx")["Summary"]
        rows = {row[0].value: row[1].value for row in summary.iter_rows()}
        assert rows["Started from"] == description_of(scratch, continued)[run.name]


def test_an_older_run_shows_it_too(workspace: Path, scratch: Path) -> None:
    """Its status file has no such field, its manifest has it as a sentence."""
    status = json.loads((scratch / "status.json").read_text())
    assert status.pop("weights") == "from scratch"
    (scratch / "status.json").write_text(json.dumps(status))
    assert json.loads(medtui("show", scratch.name, "--json", cwd=workspace).stdout)["weights"] == "from scratch"


# ---- the shipped recipes' `true` ----------------------------------------------------------------------------------


def composed(name: str | None, *assignments: str, **flags: str) -> Recipe:
    recipe, _ = compose(name, {path.replace("__", "."): value for path, value in flags.items()}, list(assignments))
    return recipe


@pytest.mark.parametrize("name", [None, "bloodmnist", "dermamnist", "chestmnist"])
def test_a_command_line_model_without_published_weights_starts_from_scratch(name: str | None) -> None:
    assert composed(name).model.pretrained is True
    assert composed(name, "model.name=mini_cnn").model.pretrained is False
    assert composed(name, model__name="Mini CNN").model.pretrained is False
    assert composed(name, model__name="resnet18").model.pretrained is True


def test_explicit_weight_settings_on_the_command_line_are_kept() -> None:
    with pytest.raises(RecipeError, match="is not possible: mini_cnn has no published weights; write `false`"):
        composed("bloodmnist", "model.name=mini_cnn", "model.pretrained=true")
    assert composed("bloodmnist", "model.pretrained=false").model.pretrained is False


# ---- before it starts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assignments", "said", "ok"),
    [
        (["model.pretrained=false"], "from scratch", True),
        (["model.pretrained=auto"], "ImageNet file missing → scratch (auto)", True),
        ([], "or set model.pretrained=false", False),
        (["training.init_from=20261122_x"], "from run 20261122_x", True),
    ],
)
def test_preflight_shows_a_runs_starting_weights_when_nothing_can_be_fetched(
    assignments: list[str], said: str, ok: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("MEDTUI_OFFLINE", "1")
    words, fine = weights_state(composed("bloodmnist", *assignments))
    assert said in words
    assert fine is ok
