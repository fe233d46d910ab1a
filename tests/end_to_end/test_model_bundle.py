"""`model.json` next to `best.safetensors`: what is needed to use a model without its run."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from driving import graded_arrays, json_lines, medtui, tiny, yaml_of

from engine.contract.models.catalogue import models
from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.model_bundle import read_bundle
from engine.contract.wire.errors import CheckpointError
from engine.model.build import build
from engine.model.plan import ModelPlan

VIEWS = {  # by their names in the bundle, of [N, C, H, W]
    "identity": lambda images: images,
    "hflip": lambda images: images.flip(-1),
    "vflip": lambda images: images.flip(-2),
    "rot90": lambda images: images.rot90(1, (-2, -1)),
    "rot180": lambda images: images.rot90(2, (-2, -1)),
    "rot270": lambda images: images.rot90(3, (-2, -1)),
}


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    return graded_arrays()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, images: dict[str, np.ndarray]) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    np.savez(folder / "mine.npz", **images)
    md5 = hashlib.md5((folder / "mine.npz").read_bytes()).hexdigest()
    recipe = tiny(
        dataset={"name": "bloodmnist", "archive": str(folder / "mine.npz"), "md5": md5, "limit": None},
        training={"epochs": 2},
        evaluation={"tta": True},
        runtime={"reproducible": True},
    )
    (folder / "recipe.yaml").write_text(yaml_of(recipe))
    return folder


def trained(workspace: Path, *words: str) -> Path:
    done = medtui("run", *words, "--json", cwd=workspace)
    assert done.returncode in (0, 6), done.stderr
    return Path(json_lines(done.stdout)[-1]["run_dir"])


@pytest.fixture(scope="module")
def run(workspace: Path) -> Path:
    return trained(workspace, "recipe.yaml")


def test_weights_and_bundle_alone_give_the_scores_of_the_run(
    run: Path, images: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Copied elsewhere; the weights read by the safetensors library, the images prepared as the bundle describes."""
    for name in ("best.safetensors", "model.json"):
        shutil.copy(run / "checkpoints" / name, tmp_path / name)
    bundle = json.loads((tmp_path / "model.json").read_text())
    plan = ModelPlan(len(bundle["class_names"]), bundle["size"], dropout=0.0)
    model = build(models()[bundle["model"]], plan, (bundle["mean"], bundle["std"])).module.eval()
    model.load_state_dict(safetensors.torch.load_file(tmp_path / bundle["weights"]["file"]), strict=True)

    inputs = images["test_images"].astype(np.float32) / 255
    inputs = (inputs - np.float32(bundle["mean"])) / np.float32(bundle["std"])
    batch = torch.from_numpy(inputs).permute(0, 3, 1, 2)
    assert set(bundle["views"]) == set(VIEWS)
    with torch.inference_mode():
        scores = torch.stack([model(VIEWS[view](batch)).softmax(1) for view in bundle["views"]]).mean(0).numpy()

    (file,) = (run / "metrics").glob("*_test_*.csv")
    rows = [[float(value) for value in row] for row in csv.reader(file.read_text().splitlines())]
    assert len(rows) == 40
    np.testing.assert_allclose(np.array(rows)[:, -8:], scores, atol=2e-3 if _is_bfloat16(run) else 1e-5)


def _is_bfloat16(run: Path) -> bool:
    return str(json.loads((run / "manifest.json").read_text())["decisions"]["amp"]).startswith("on")


def test_the_bundle_describes_the_run(run: Path, images: dict[str, np.ndarray]) -> None:
    bundle = read_bundle(run / "checkpoints" / "model.json")
    manifest = json.loads((run / "manifest.json").read_text())
    assert (bundle.model, bundle.task, bundle.size, bundle.channels) == ("mini_cnn", "multi_class", 28, 3)
    assert len(bundle.class_names) == 8 and "basophil" in bundle.class_names
    pixels = images["train_images"] / 255
    np.testing.assert_allclose(bundle.mean, pixels.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(bundle.std, pixels.std((0, 1, 2)), rtol=1e-6)
    assert bundle.recipe_hash == manifest["recipe_hash"]
    assert bundle.weights.digest == verified_digest(run / "checkpoints" / bundle.weights.file)


def test_equal_strict_runs_write_equal_bundles(run: Path, workspace: Path) -> None:
    again = trained(workspace, "recipe.yaml")
    assert again != run
    first, second = ((one / "checkpoints" / "model.json").read_bytes() for one in (run, again))
    assert first == second


@pytest.mark.slow
def test_a_bundle_left_behind_by_a_kill_matches_the_best_weights_after_the_run_resumed(workspace: Path) -> None:
    stopped = trained(
        workspace,
        "recipe.yaml",
        "training.seed=5",
        "training.epochs=500",
        "training.patience=null",
        "runtime.max_minutes=0.05",
    )
    place = stopped / "checkpoints" / "model.json"
    older = json.loads(place.read_text())
    older["weights"]["digest"] = "0" * 32  # as of the best before
    place.write_text(json.dumps(older))
    trained(workspace, "--resume", stopped.name)
    assert read_bundle(place).weights.digest == verified_digest(stopped / "checkpoints" / "best.safetensors")


def test_an_older_run_has_no_bundle_and_can_still_be_evaluated(run: Path, workspace: Path) -> None:
    old = run.with_name(f"{run.name}_old")
    shutil.copytree(run, old)
    (old / "checkpoints" / "model.json").unlink()
    done = medtui("evaluate", old.name, cwd=workspace)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"format": "other"}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_bundle_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(CheckpointError) as refusal:
        read_bundle(tmp_path / "model.json")
    assert str(tmp_path / "model.json") in refusal.value.message and refusal.value.hint
