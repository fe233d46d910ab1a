"""Every model of the catalogue at every size: trained a step, resumed bit for bit, evaluated, exported; and what says
that images were enlarged, or that weights come from a file."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pytest
import torch
import torch.nn.functional as F
from driving import json_lines, medtui, tiny, yaml_of
from safetensors.torch import load_file

from engine.contract.models.catalogue import MODELS, models
from engine.contract.models.spec import ModelSpec
from engine.model.build import build
from engine.model.plan import ModelPlan
from engine.train.checkpoint import save_last
from engine.train.mode import train_mode
from engine.train.optimizer import OptimizerPlan, build_optimizer, set_rate
from engine.train.restore import restore
from engine.train.state import TrainingState

SIZES = (28, 64, 128, 224)
# One with batch normalisation; one of attention, layer normalisation and branches that are left out at random
SLOW = {(name, 28) for name in ("mobilenet_v3_large", "swin_t")}
EXPORTED = {("vit_s_16", 28)}  # the others by `make models`
PAIRS = [(spec, size) for spec in MODELS for size in SIZES if spec.fits(size)]


def _marked(slow: set[tuple[str, int]]) -> list[object]:
    """Each model at each size; what is not slow is exhaustive."""
    marks = {True: pytest.mark.slow, False: pytest.mark.exhaustive}
    return [
        pytest.param(spec, size, id=f"{spec.name}-{size}", marks=marks[(spec.name, size) in slow])
        for spec, size in PAIRS
    ]


# ---- resumed bit for bit ---------------------------------------------------------------------------------------------


def state_of(spec: ModelSpec, size: int, seed: int) -> TrainingState:
    torch.manual_seed(seed)
    built = build(spec, ModelPlan(5, size, 0.1), ([0.5] * 3, [0.25] * 3))
    module = built.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(module, OptimizerPlan("adamw", 0.9, nesterov=False, weight_decay=0.01), built.groups)
    return TrainingState(module, optimizer, torch.zeros(2), torch.zeros(2, dtype=torch.float64))


def a_step(state: TrainingState, size: int) -> None:
    """Whose draws come from its number, as in a run."""
    torch.manual_seed(1000 + state.step)
    train_mode(state.model)
    images = torch.rand(2, 3, size, size).contiguous(memory_format=torch.channels_last)
    set_rate(state.optimizer, 1e-4)
    state.optimizer.zero_grad()
    loss = F.cross_entropy(state.model(images), torch.tensor([0, 3]))
    loss.backward()
    state.optimizer.step()
    state.losses[state.step] = loss.detach()
    state.step += 1


@pytest.mark.parametrize(("spec", "size"), _marked(SLOW))
def test_every_model_continues_from_its_checkpoint_bit_for_bit(spec: ModelSpec, size: int, tmp_path: Path) -> None:
    whole = state_of(spec, size, seed=0)
    a_step(whole, size)
    last, before = tmp_path / "last.safetensors", tmp_path / "previous.safetensors"
    save_last(last, before, whole)
    a_step(whole, size)
    resumed = state_of(spec, size, seed=1)
    restore(last, resumed)
    a_step(resumed, size)
    end = save_last(tmp_path / "end.safetensors", before, whole)
    assert save_last(tmp_path / "other_end.safetensors", before, resumed) == end


# ---- by the commands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spec", "size"), _marked(EXPORTED))
def test_every_model_is_trained_evaluated_and_exported_with_its_scores(
    spec: ModelSpec, size: int, tmp_path: Path
) -> None:
    """The cells are made at 28 px; larger ones are enlarged, so the model is that of the size."""
    recipe = tiny(
        dataset={"limit": 8},
        model={"name": spec.name, "pretrained": False, "input_size": None if size == 28 else size},
        training={"epochs": 1, "batch_size": 8, "optimizer": "adamw", "lr": 1e-4},
    )
    (tmp_path / "recipe.yaml").write_text(yaml_of(recipe))
    done = medtui("run", "recipe.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    run = Path(json_lines(done.stdout)[-1]["run_dir"])
    bundle = json.loads((run / "checkpoints" / "model.json").read_text())
    assert (bundle["model"], bundle["size"], bundle["input_size"]) == (spec.name, 28, None if size == 28 else size)
    assert "features" in bundle
    evaluated = medtui("evaluate", "last", "--json", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    exported = medtui("export", "last", cwd=tmp_path)  # refused where a file gives other scores
    assert exported.returncode == 0, exported.stdout[-2000:] + exported.stderr
    assert {"model.onnx", "best.safetensors", "check.json"} <= {path.name for path in (run / "model").iterdir()}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose images are enlarged, with its best weights."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "README.md").touch()
    recipe = tiny(dataset={"limit": 16}, model={"input_size": 56}, training={"epochs": 1})
    (folder / "recipe.yaml").write_text(yaml_of(recipe))
    return folder


@pytest.fixture(scope="module")
def enlarged(workspace: Path) -> Path:
    done = medtui("run", "recipe.yaml", cwd=workspace)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cells 28 px, synthetic data, at most 16 images per split, enlarged to 56 px" in done.stdout
    (run,) = (path for path in (workspace / "outputs").iterdir() if path.is_dir())
    return run


@pytest.mark.slow
def test_enlarged_images_are_said_to_be_in_every_table(enlarged: Path, workspace: Path) -> None:
    (row,) = json.loads(medtui("runs", "--json", cwd=workspace).stdout)
    assert (row["size"], row["input_size"]) == (28, 56)
    assert "→ 56 px" in medtui("runs", cwd=workspace, environment={"COLUMNS": "200"}).stdout
    assert "enlarged to 56 px" in medtui("show", "last", cwd=workspace).stdout
    summary = openpyxl.load_workbook(enlarged / "reports" / "report.xlsx")["Summary"]
    rows = {line[0].value: line[1].value for line in summary.iter_rows()}
    assert rows["Input size"] == "images were enlarged to 56 px for the model"
    assert "28 px enlarged to 56" in (enlarged / "run.log").read_text()


@pytest.mark.slow
def test_the_model_of_enlarged_images_takes_images_as_they_are(enlarged: Path, workspace: Path) -> None:
    """Evaluated, exported and predicted from 28 px: the bundle knows that it enlarges."""
    again = medtui("evaluate", "last", "--json", cwd=workspace)
    assert again.returncode == 0, again.stderr
    shown = json.loads(medtui("show", "last", "--json", cwd=workspace).stdout)
    assert json.loads(again.stdout)["auc"] == pytest.approx(shown["test"]["auc"], abs=1e-9)
    exported = medtui("export", "last", "--format", "torch", cwd=workspace)
    assert exported.returncode == 0, exported.stderr
    card = (enlarged / "model" / "README.md").read_text()
    assert "28×28 pixels, enlarges them to 56×56" in card


def test_a_run_starts_from_a_file_and_says_what_of_it_fitted(enlarged: Path, workspace: Path) -> None:
    """Another number of classes is another head; the path is relative to where the command runs."""
    held = load_file(enlarged / "checkpoints" / "best.safetensors")
    held["fc.weight"], held["fc.bias"] = torch.zeros(3, 80), torch.zeros(3)
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in held.items()}}, workspace / "mine.pth")
    done = medtui("run", "recipe.yaml", "model.weights=mine.pth", "model.input_size=null", "--json", cwd=workspace)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    started = next(event for event in json_lines(done.stdout) if event["event"] == "run.started")
    said = "weights of the file mine.pth, 30 of 32 fit (not fc.weight, fc.bias), 2 of the file are not used"
    assert started["decisions"]["weights"] == said
    weights = started["resolved"]["weights"]
    assert (weights["kind"], weights["loaded"], weights["left"]) == ("file", 30, ["fc.weight", "fc.bias"])
    run = Path(started["run_dir"])
    assert "${workspace}/mine.pth" in (run / "recipe.yaml").read_text()
    (row,) = (row for row in json.loads(medtui("runs", "--json", cwd=workspace).stdout) if row["run"] == run.name)
    assert row["weights"] == "file mine.pth" and row["resolved_hash"] is not None
    refused = medtui("run", "recipe.yaml", "model.weights=nowhere.pth", cwd=workspace)
    assert refused.returncode == 4 and "nowhere.pth" in refused.stderr + refused.stdout


def test_a_frozen_run_trains_its_head_alone(enlarged: Path, workspace: Path) -> None:
    words = ("model.weights=" + str(enlarged / "checkpoints" / "best.safetensors"), "training.freeze=head")
    done = medtui("run", "recipe.yaml", *words, "training.seed=7", "--json", cwd=workspace)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    run = Path(json_lines(done.stdout)[-1]["run_dir"])
    before = load_file(enlarged / "checkpoints" / "best.safetensors")
    after = load_file(run / "checkpoints" / "best.safetensors")
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"fc.weight", "fc.bias"}


def test_the_models_of_the_catalogue_are_those_that_the_tests_know() -> None:
    assert len(PAIRS) == 4 * len(models()) - 2  # the adapted ResNet-18 is for two sizes
