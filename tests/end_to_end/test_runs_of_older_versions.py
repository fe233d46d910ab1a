"""Run directories made before values were recorded as values: listed, shown, compared, evaluated, reported, resumed.

`runs_of_217e719.tar.xz` holds three runs that the code of that commit made on a CPU with bfloat16 units, all of
mini_cnn on cells; their figures were left out for size.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from driving import medtui

from engine.contract.recipe.identity import recipe_hash, resolved_hash
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.contract.store.checkpoint_file import weights_digest
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.resolved import Resolved
from engine.run.manifest import versions
from medtui.client.runs import read_run_row
from medtui.console.results.compare import compared, differences_text
from medtui.console.results.detail import load_detail
from medtui.console.shell.marked_runs import RunMark

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "runs_of_217e719.tar.xz"
FINISHED = "20261126_cells_mini-cnn_cbd9c9"
ABORTED = "20261126_cells_mini-cnn_cbd9c9_2"  # of the same recipe, after its first epoch of two
AS_THEY_COME = "20261126_cells_mini-cnn_46611c"  # every `auto` left as it is; stopped after its first epoch


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def run_of(workspace: Path, name: str) -> RunDirectory:
    return RunDirectory(workspace / "outputs" / name)


def shown(workspace: Path, name: str) -> dict[str, Any]:
    done = medtui("show", name, "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def test_they_are_listed_with_recorded_descriptions_as_values(workspace: Path) -> None:
    done = medtui("runs", "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    runs = {run["run"]: run for run in json.loads(done.stdout)}
    assert {name: run["state"] for name, run in runs.items()} == {
        FINISHED: "completed",
        ABORTED: "aborted",
        AS_THEY_COME: "stopped",
    }
    assert all(run["damage"] == [] for run in runs.values())
    resolved = runs[FINISHED]["resolved"]
    weights = resolved.pop("weights")
    assert (weights["kind"], weights["digest"], weights["note"]) == ("scratch", None, "")
    assert resolved == {
        "data": "cells-v1",
        "device": "cpu",
        "device_name": "cpu",
        "precision": "float32",
        "hflip": 0.5,
        "views": ["identity", "hflip", "vflip", "rot90", "rot180", "rot270"],
        "best_by": None,
        "batch_size": None,
        "storage": "ram",
        "threads": 1,
    }
    assert runs[AS_THEY_COME]["resolved"]["precision"] == "bfloat16"
    assert runs[AS_THEY_COME]["resolved"]["weights"]["note"] == "there are no ImageNet weights for mini_cnn"
    assert runs[FINISHED]["resolved_hash"] == runs[ABORTED]["resolved_hash"] != runs[AS_THEY_COME]["resolved_hash"]


@pytest.mark.parametrize("name", [FINISHED, ABORTED, AS_THEY_COME])
def test_their_recipes_keep_their_hashes(name: str, workspace: Path) -> None:
    run = run_of(workspace, name)
    text = read_yaml_file(run.recipe)
    recorded = json.loads(run.manifest.path.read_text())["recipe_hash"]
    assert recipe_hash(build_recipe(text.values)) == recorded == shown(workspace, name)["recipe_hash"]
    assert name.split("_")[3] == recorded[:6]


def test_a_new_run_differs_from_them_in_how_the_best_epoch_is_chosen_and_in_nothing_else(workspace: Path) -> None:
    """What the machine decides is written out, so that it is the same experiment on any machine."""
    recipe = run_of(workspace, FINISHED).recipe.path
    done = medtui("run", recipe, "--set", "training.amp=false", "--set", "runtime.device=cpu", "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    (started,) = [event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "run.started"]
    of_before = shown(workspace, FINISHED)["resolved_hash"]
    assert started["resolved_hash"] != of_before
    resolved = Resolved.model_validate(started["resolved"] | {"best_by": None})
    assert resolved_hash(build_recipe(read_yaml_file(recipe).values), resolved) == of_before


def test_they_are_compared(workspace: Path) -> None:
    runs = {
        name: load_detail(read_run_row(run_of(workspace, name)), Recipe) for name in (FINISHED, ABORTED, AS_THEY_COME)
    }

    def differences(*names: str) -> str:
        marks = [RunMark(name, sign, 0) for name, sign in zip(names, "AB", strict=True)]
        return differences_text([compared(mark, runs[mark.run]) for mark in marks], 160).plain

    text = differences(FINISHED, AS_THEY_COME)
    assert "training.amp" in text and "model.pretrained" in text
    assert "precision                  A float32  B bfloat16" in text and "same experiment" not in text
    same = differences(FINISHED, ABORTED)
    assert "the recipes are equal" in same and "same experiment" in same


@pytest.mark.figures
def test_a_finished_one_is_evaluated_and_its_figures_are_rebuilt(workspace: Path) -> None:
    before = weights_digest(run_of(workspace, FINISHED).best)
    done = medtui("evaluate", FINISHED, "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    done = medtui("report", FINISHED, cwd=workspace)
    assert done.returncode == 0, done.stderr
    run = run_of(workspace, FINISHED)
    assert (run.figures.path / "confusion.png").stat().st_size > 10_000
    (evaluation,) = run.evaluations.path.glob("*/evaluation.json")
    again = json.loads(evaluation.read_text())["metrics"]["auc"]
    assert again == pytest.approx(shown(workspace, FINISHED)["test"]["auc"], abs=0.01), "other kernels, the last bits"
    assert weights_digest(run.best) == before


def drift_here(run: RunDirectory) -> list[str]:
    """Packages whose versions are others here than where the run began: those that are part of its results."""
    recorded = json.loads(run.manifest.path.read_text())["attempts"][-1]["must_match"]
    names = ("medtui", "torch", "torchvision", "numpy", "scikit-learn")
    return [f"{name} {recorded[name]} → {versions()[name]}" for name in names if recorded[name] != versions()[name]]


def test_an_interrupted_one_resumes_despite_other_hardware(workspace: Path) -> None:
    """Other versions are drift, and nothing else: it names its device, threads and precision, and is not strict."""
    run = run_of(workspace, ABORTED)
    drift = drift_here(run)
    done = medtui("run", "--resume", ABORTED, "--json", cwd=workspace)
    if drift or done.returncode == 2:  # another Python is one, too
        message = json.loads(done.stdout.splitlines()[-1])["error"]["message"]
        assert done.returncode == 2 and all(change in message for change in drift)
        assert all(name not in message for name in ("device", "threads", "precision", "weights", "CPU", "training."))
        done = medtui("run", "--resume", ABORTED, "--allow-drift", "--json", cwd=workspace)
    assert done.returncode == 0, done.stdout
    manifest = json.loads(run.manifest.path.read_text())
    assert manifest["attempts"][1]["resumed_from"] == {"epoch": 1, "step": 0}
    assert manifest["resolved"]["weights"]["kind"] == "scratch"
    values = shown(workspace, ABORTED)
    assert (values["outcome"], values["epochs_done"]) == ("completed", 2)
    assert values["resolved_hash"] == manifest["resolved_hash"] == shown(workspace, FINISHED)["resolved_hash"]
    if not drift and not manifest["attempts"][1]["noted"]:  # where it began: bit for bit as if it had gone on then
        assert weights_digest(run.last) == weights_digest(run_of(workspace, FINISHED).last)


def test_another_precision_than_the_machine_had_chosen_is_refused_by_its_name(workspace: Path) -> None:
    """The stopped one began in bfloat16; its storage, and how its starting weights were described, are no drift."""
    done = medtui("run", "--resume", AS_THEY_COME, "--set", "training.amp=false", "--json", cwd=workspace)
    message = json.loads(done.stdout.splitlines()[-1])["error"]["message"]
    assert done.returncode == 2
    assert "precision bfloat16 → float32" in message
    assert "weights" not in message and "hflip" not in message
