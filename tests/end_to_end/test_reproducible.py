"""Strict runs give the same bits, wherever the images lie."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from driving import Engine, medtui, tiny, yaml_of

from engine.contract.store.checkpoint_file import weights_digest
from engine.contract.store.run_directory import RunDirectory, list_runs

# everything that draws at random, or sums in an order
STRICT: dict[str, dict[str, Any]] = {
    "dataset": {"name": "cells", "limit": 96},
    "model": {"name": "mini_cnn", "dropout": 0.2},
    "training": {"epochs": 2, "batch_size": 16, "mixup_alpha": 0.2, "ema_decay": 0.9, "clip_norm": 1.0},
    "augmentation": {"vflip": 0.5, "shift": 0.1, "scale": 0.1, "saturation": 0.2},
    "evaluation": {"tta": True},
}


def results(tmp_path: Path, **runtime: Any) -> tuple[str, str, str]:
    """Weight digest, history and scores of one strict run in a separate process."""
    cache = runtime.pop("cache", "auto")
    recipe = tiny(**STRICT, runtime={"reproducible": True, "threads": 1, **runtime})
    recipe["dataset"]["cache"] = cache
    engine = Engine(tmp_path)
    try:
        engine.train(recipe)
        run = Path(engine.wait_for_event("run.finished")["run_dir"])
        assert engine.end() == 0
        placed = engine.of("run.started")[0]["decisions"]["cache"]
        assert cache in ("auto", placed)
    finally:
        engine.kill()
    scores = next((run / "metrics").glob("*_test_*.csv")).read_text()
    return (
        weights_digest(run / "checkpoints" / "best.safetensors"),
        (run / "metrics" / "history.csv").read_text(),
        scores,
    )


@pytest.mark.slow
def test_two_strict_runs_and_a_mapped_one_give_the_same_bits(tmp_path: Path) -> None:
    first = results(tmp_path, cache="ram")
    assert results(tmp_path, cache="ram") == first
    assert results(tmp_path, cache="mapped") == first


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    digests = set()
    for seed in (1, 2):
        engine = Engine(tmp_path)
        engine.train(tiny(training={"epochs": 1, "batch_size": 32, "seed": seed}, runtime={"reproducible": True}))
        run = Path(engine.wait_for_event("run.finished")["run_dir"])
        engine.end()
        digests.add(weights_digest(run / "checkpoints" / "best.safetensors"))
    assert len(digests) == 2


def test_two_strict_runs_of_one_recipe_have_equal_files_also_when_one_was_interrupted(tmp_path: Path) -> None:
    """Byte for byte, in folders of other names, by `sha256sum`."""
    recipe = tmp_path / "strict.yaml"
    recipe.write_text(yaml_of(tiny(**STRICT, runtime={"reproducible": True, "threads": 1})))
    for budget in ("null", "null", "0.0001"):  # minutes; the third is stopped after a step or so, and resumed
        done = medtui("run", recipe, "--set", f"runtime.max_minutes={budget}", "--workspace", tmp_path, cwd=tmp_path)
        assert done.returncode == (0 if budget == "null" else 6), done.stderr
    done = medtui("run", "--resume", "last", "--set", "runtime.max_minutes=null", "--workspace", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second, interrupted = list_runs(tmp_path / "outputs")
    assert json.loads(interrupted.manifest.path.read_text())["attempts"][1]["resumed_from"] is not None
    assert len({first.name, second.name, interrupted.name}) == 3
    assert sums(second) == sums(first)
    assert {**sums(interrupted), "recipe.yaml": ""} == {**sums(first), "recipe.yaml": ""}


def sums(run: RunDirectory) -> dict[str, str]:
    """SHA-256 of what must be equal; the score file by what its name says, less the run's."""
    (scores,) = run.metrics.path.glob("*_test_*.csv")
    names = ("recipe.yaml", "metrics/history.csv", "metrics/per_class.csv", "metrics/confusion.csv")
    files = {name: run.root / name for name in (*names, "checkpoints/best.safetensors", "checkpoints/last.safetensors")}
    files[scores.name.partition("@")[0]] = scores
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
