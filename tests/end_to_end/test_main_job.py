"""The main job on the official BreastMNIST: from recipe to artifacts."""

from __future__ import annotations

import csv
import json
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import torch
from driving import json_lines, medtui
from safetensors.torch import load_file
from torch import nn
from torchvision.models import resnet18

from engine.contract.recipe.identity import recipe_hash
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.wire.protocol import parse_event
from medtui.client.journal import replay
from medtui.client.state import RunState, fold

pytestmark = pytest.mark.slow  # real data; nearly every other run of the tests is a tiny one


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


SMALL_NET = pytest.param(["model.name=mini_cnn"], id="the small net")  # seconds
RESNET_18 = pytest.param([], id="ResNet-18", marks=pytest.mark.exhaustive)  # minutes


@pytest.fixture(scope="module", params=[SMALL_NET, RESNET_18])
def events(request: pytest.FixtureRequest, workspace: Path, real_data: Path) -> list[dict[str, Any]]:
    """Of the promised command; for ResNet-18 word for word but for `--json`."""
    settings = [word for setting in request.param for word in ("--set", setting)]
    arguments = ("run", "breastmnist", "--data", real_data, "--set", "training.epochs=2", *settings, "--json")
    done = medtui(*arguments, cwd=workspace)
    assert done.returncode == 0, done.stderr
    return json_lines(done.stdout)


@pytest.fixture(scope="module")
def run_dir(events: list[dict[str, Any]]) -> Path:
    return Path(events[-1]["run_dir"])


@pytest.fixture(scope="module")
def shown(run_dir: Path, workspace: Path) -> dict[str, Any]:
    done = medtui("show", "last", "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_a_run_on_breastmnist_completes(events: list[dict[str, Any]]) -> None:
    assert events[0]["event"] == "hello"
    assert (events[-1]["event"], events[-1]["outcome"], events[-1]["exit_code"]) == ("run.finished", "completed", 0)
    assert [e["seq"] for e in events if e["seq"] is not None] == list(
        range(1, len([e for e in events if e["seq"]]) + 1)
    )


def test_its_directory_holds_every_file_of_the_design(run_dir: Path, shown: dict[str, Any]) -> None:
    day, dataset, model, digest = run_dir.name.split("_")
    assert (len(day), dataset, len(digest)) == (8, "breastmnist", 6)
    assert model in ("mini-cnn", "resnet18-adapted")
    files = {path.relative_to(run_dir).as_posix() for path in run_dir.rglob("*") if path.is_file()}
    auc, acc = shown["test"]["auc"], shown["test"]["acc"]
    assert files == {
        "recipe.yaml",
        "manifest.json",
        "events.jsonl",
        "status.json",
        "control.jsonl",
        "run.log",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
        "checkpoints/features.safetensors",
        "checkpoints/model.json",
        "metrics/history.csv",
        "metrics/per_class.csv",
        "metrics/samples.json",
        "metrics/batch.json",
        "metrics/confusion.csv",
        f"metrics/breastmnist_test_[AUC]{auc:.3f}_[ACC]{acc:.3f}@{run_dir.name}.csv",
        "reports/report.xlsx",
        *(f"figures/{name}.png" for name in ("curves", "confusion", "samples", "batch", "roc", "reliability")),
    }
    assert (run_dir / "evaluations").is_dir()
    assert (run_dir / "control.jsonl").stat().st_mode & 0o777 == 0o600


def test_show_prints_outcome_values_classes_and_paths(shown: dict[str, Any], run_dir: Path) -> None:
    assert (shown["run"], shown["run_dir"], shown["outcome"]) == (run_dir.name, str(run_dir), "completed")
    for split in ("validation", "test"):
        assert 0 < shown[split]["auc"] <= 1
        assert {"auc", "acc", "f1"} <= set(shown[split])
    assert [row["name"] for row in shown["per_class"]] == ["malignant", "normal, benign"]
    assert [row["support"] for row in shown["per_class"]] == [42, 114]  # published: 42 malignant of 156
    assert shown["artifacts"]
    assert all(Path(path).is_file() for path in shown["artifacts"].values())


def test_runs_lists_it(workspace: Path, shown: dict[str, Any]) -> None:
    run_rows = json.loads(medtui("runs", "--json", cwd=workspace).stdout)
    assert [(run_row["run"], run_row["state"], run_row["test_auc"]) for run_row in run_rows] == [
        (shown["run"], "completed", shown["test"]["auc"])
    ]


def test_its_recipe_loads_back_to_the_same_hash(run_dir: Path, shown: dict[str, Any]) -> None:
    recipe = build_recipe(read_yaml_file(run_dir / "recipe.yaml").values)
    assert recipe.training.epochs == 2
    manifest = json.loads((run_dir / "manifest.json").read_text())
    assert recipe_hash(recipe) == shown["recipe_hash"] == manifest["recipe_hash"]
    assert manifest["data"]["md5"] == "750601b1f35ba3300ea97c75c52ff8f6"
    assert manifest["data"]["images"] == {"train": 546, "val": 78, "test": 156}


def test_starting_weights_are_in_manifest_lists_and_report(
    run_dir: Path, shown: dict[str, Any], workspace: Path
) -> None:
    assert json.loads((run_dir / "manifest.json").read_text())["decisions"]["weights"] == "from scratch"
    assert shown["weights"] == "from scratch"
    (listed,) = json.loads(medtui("runs", "--json", cwd=workspace).stdout)
    assert listed["weights"] == "from scratch"
    summary = openpyxl.load_workbook(run_dir / "reports" / "report.xlsx")["Summary"]
    assert ("Started from", "from scratch") in [(row[0].value, row[1].value) for row in summary.iter_rows()]


def test_the_score_file_is_accepted_by_the_official_evaluator_and_scores_the_same(
    shown: dict[str, Any], real_data: Path, workspace: Path
) -> None:
    from medmnist import Evaluator

    path = Path(shown["artifacts"]["scores"])
    scores = pd.read_csv(path, index_col=0, header=None).sort_index().to_numpy()  # as parse_and_evaluate reads it
    official = Evaluator("breastmnist", "test", root=str(real_data)).evaluate(scores)
    assert pytest.approx(shown["test"]["auc"], abs=1e-12) == official.AUC
    assert pytest.approx(shown["test"]["acc"], abs=1e-12) == official.ACC
    ours = json.loads(medtui("score", path, "--data", real_data, "--json", cwd=workspace).stdout)
    assert (ours["dataset"], ours["split"], ours["n"]) == ("breastmnist", "test", 156)
    assert (ours["auc"], ours["acc"]) == (pytest.approx(official.AUC, abs=1e-12), official.ACC)


def test_score_computes_the_published_values_of_the_golden_file(real_data: Path, workspace: Path) -> None:
    golden = next((real_data / "golden").glob("breastmnist_test_*.csv"))
    done = medtui("score", golden, "--data", real_data, cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "breastmnist test, 156 images: AUC 0.9129, ACC 0.8462\n"


def test_the_fold_gives_the_same_state_from_the_pipe_the_journal_and_any_cut_of_it(
    events: list[dict[str, Any]], run_dir: Path, tmp_path: Path
) -> None:
    piped = [event for line in events if (event := parse_event(json.dumps(line))) is not None]
    from_pipe = reduce(fold, piped, RunState())
    journal = run_dir / "events.jsonl"
    assert repr(replay(journal)) == repr(from_pipe)  # by repr, since NaN is not equal to NaN
    assert from_pipe.summary.outcome == "completed"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) > 20
    for cut in range(len(lines) + 1):
        part = tmp_path / "cut.jsonl"
        part.write_bytes(b"".join(lines[:cut]) + b'{"event": "half a li')
        rest = [parse_event(line) for line in lines[cut:]]
        assert repr(reduce(fold, [event for event in rest if event is not None], replay(part))) == repr(from_pipe)


def test_the_workbook_has_its_sheets_a_row_per_epoch_and_native_charts(run_dir: Path) -> None:
    book = openpyxl.load_workbook(run_dir / "reports" / "report.xlsx")
    sheets = ["Summary", "Configuration", "Epochs", "Per class", "Confusion", "Environment"]
    assert book.sheetnames == [*sheets, "Published"]
    epochs = [row[0] for row in book["Epochs"].iter_rows(values_only=True) if isinstance(row[0], int)]
    assert epochs == [1, 2]
    assert len(book["Epochs"]._charts) >= 2
    history = list(csv.DictReader((run_dir / "metrics" / "history.csv").open()))
    assert [row["epoch"] for row in history] == ["1", "2"]
    assert not [name for name in history[0] if "time" in name or "seconds" in name]


def test_plain_torchvision_gives_the_runs_scores(workspace: Path, real_data: Path) -> None:
    # full precision, as plain torchvision has it
    settings = ("dataset.limit=64", "training.epochs=1", "training.amp=false", "evaluation.tta=false")
    sets = [argument for setting in settings for argument in ("--set", setting)]
    done = medtui("run", "breastmnist", "--data", real_data, *sets, "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr
    run_dir = Path(json_lines(done.stdout)[-1]["run_dir"])

    model = resnet18()
    model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    model.maxpool = nn.Identity()
    model.fc = nn.Linear(512, 2)
    best = run_dir / "checkpoints" / "best.safetensors"
    model.load_state_dict(load_file(best), strict=True)
    assert verified_digest(best)

    manifest = json.loads((run_dir / "manifest.json").read_text())
    images = np.load(real_data / "breastmnist.npz")["test_images"]
    inputs = torch.from_numpy(images).float().div(255)[:, None].repeat(1, 3, 1, 1)
    inputs = (inputs - manifest["data"]["mean"][0]) / manifest["data"]["std"][0]
    with torch.no_grad():
        expected = model.eval()(inputs).softmax(1).numpy()
    written = next((run_dir / "metrics").glob("*_test_*.csv"))
    scores = pd.read_csv(written, index_col=0, header=None).sort_index().to_numpy()
    assert len(scores) == 64
    # which of the 156 a limited split has is known by their scores: each is another one's, in the official order
    distances = np.abs(scores[:, None] - expected[None]).max(axis=2)
    assert distances.min(axis=1).max() < 1e-5
    assert np.all(np.diff(distances.argmin(axis=1)) > 0)
