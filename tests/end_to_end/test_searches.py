"""A search with real runners and engines: it does not read the test split, and survives every kill."""

from __future__ import annotations

import json
import random
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest
from disturbing import disturb, trained
from driving import graded_arrays, medtui, tiny, yaml_of

from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.yaml_reader import read_yaml
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.store.run_record import read_run
from engine.contract.store.workspace import Workspace
from medtui.suites.store import Store

pytest.importorskip("optuna")

LR = "space: {training.lr: {from: 0.00001, to: 0.3, log: true}}\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "README.md").touch()
    return tmp_path


def untestable(place: Path) -> dict[str, dict[str, Any]]:
    """A recipe whose archive has labels in its test split that there are not: who reads them fails."""
    import numpy as np

    arrays = graded_arrays()
    arrays["test_labels"] = arrays["test_labels"] + 100
    np.savez(place / "graded.npz", **arrays)
    digest = md5((place / "graded.npz").read_bytes(), usedforsecurity=False).hexdigest()
    recipe = tiny(training={"epochs": 1, "batch_size": 16})
    recipe["dataset"] = {"name": "bloodmnist", "archive": str(place / "graded.npz"), "md5": digest}
    return recipe


def test_a_search_never_reads_the_test_split(place: Path) -> None:
    (place / "graded.yaml").write_text(yaml_of(untestable(place)))
    read = medtui("run", "graded.yaml", cwd=place)
    assert read.returncode == 4 and "test_labels" in read.stderr, read.stderr  # as it does where it is read
    (place / "lr.yaml").write_text(f"recipe: graded.yaml\n{LR}budget: {{runs: 2}}\n")
    found = medtui("search", "lr.yaml", cwd=place)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "trial 1: lr " in found.stdout and "validation AUC" in found.stdout and "test AUC" not in found.stdout

    runs = list_runs(place / "outputs")
    assert len(runs) == 2
    for run in runs:
        summary = read_run(run).summary
        assert summary.outcome == "completed" and summary.validation is not None and summary.test is None
        assert set(summary.images) == {"train", "val"} and "report" not in summary.artifacts
        assert {"history", "figure_curves", "best", "model"} <= set(summary.artifacts)
        assert ",test," not in (run.metrics / "per_class.csv").content().decode()
    assert_rebuilt(runs[0], place)
    table = json.loads(medtui("search", "table", "--json", cwd=place).stdout)
    assert [row["state"] for row in table] == ["completed"] * 2 and table[0]["mean"] >= table[1]["mean"]
    best = build_recipe(read_yaml(medtui("search", "best", cwd=place).stdout).values)
    assert best.training.lr == table[0]["values"]["training.lr"] and best.evaluation.test


def assert_rebuilt(run: RunDirectory, place: Path) -> None:
    """A report makes what such a run has, and no more."""
    folders = (run.metrics, run.figures, run.reports)
    made = {path: path.read_bytes() for folder in folders for path in folder.path.iterdir()}
    made[run.model_bundle.path] = run.model_bundle.path.read_bytes()
    assert {"history.csv", "per_class.csv", "batch.json", "curves.png", "batch.png"} <= {path.name for path in made}
    for path in made:
        path.unlink()
    done = medtui("report", run.name, cwd=place)
    assert done.returncode == 0 and set(done.stdout.split()) == set(map(str, made)), done.stderr
    assert {path: path.read_bytes() for path in made} == made
    again = medtui("report", run.name, cwd=place)
    assert again.returncode == 0 and "Nothing is missing" in again.stdout


def study(place: Path) -> None:
    (place / "README.md").touch()
    recipe = tiny(training={"epochs": 6, "batch_size": 16, "patience": None})
    (place / "cells.yaml").write_text(yaml_of(recipe))
    (place / "lr.yaml").write_text(f"recipe: cells.yaml\n{LR}budget: {{runs: 8}}\nrandom_seed: 3\n")


def results(place: Path) -> dict[str, Any]:
    """Each trial as the table has it, without the names of runs, and the digests of the weights of completed runs."""
    table = json.loads(medtui("search", "table", "--json", cwd=place).stdout)
    found: dict[str, Any] = {str(row.pop("trial")): {**row, "runs": None} for row in table}
    for item in Store(Workspace(place), "lr", is_search=True).journal().work.items.values():
        run = RunDirectory(place / "outputs" / str(item.run))
        assert item.state == "completed" or item.pruned
        if item.state == "completed":
            found[f"weights {item.id}"] = sha256(run.best.content()).hexdigest()
    return found


@pytest.mark.slow
def test_a_search_that_is_killed_at_any_moment_asks_prunes_and_ends_as_one_that_is_not(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    undisturbed, disturbed = (tmp_path_factory.mktemp(name) for name in ("undisturbed", "disturbed"))
    for place in (undisturbed, disturbed):
        study(place)
    quiet = medtui("search", "lr.yaml", cwd=undisturbed)
    assert quiet.returncode == 0, quiet.stdout + quiet.stderr
    store = Store(Workspace(disturbed), "lr", is_search=True)
    kills = disturb(("search", "lr.yaml"), store, 1, random.Random(5))
    assert min(kills.values()) >= 1, kills
    expected = results(undisturbed)
    states = [row["state"] for name, row in expected.items() if name.isdecimal()]
    assert len(states) == 8 and "pruned" in states, states
    found = results(disturbed)
    assert {name: value for name, value in found.items() if name in expected} == expected

    figure = medtui("search", "figure", "-o", "search.png", cwd=disturbed)
    assert figure.returncode == 0 and (disturbed / "search.png").stat().st_size > 1000, figure.stderr
    (disturbed / "outputs/suites/.searches/lr/journal.jsonl").unlink()
    again = medtui("search", "lr.yaml", cwd=disturbed)  # the folders of the runs are the truth
    assert again.returncode == 0 and "8 runs of this search found" in again.stderr, again.stdout + again.stderr
    after = results(disturbed)
    assert {name: value for name, value in after.items() if name in expected} == expected
    assert len(trained(disturbed)) == 8, "nothing was trained twice"
