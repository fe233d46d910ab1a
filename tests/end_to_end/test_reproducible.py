"""Strict runs give the same bits, wherever the images lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from driving import Engine, tiny

from engine.contract.checkpoint_file import weights_digest

# everything that draws at random, or sums in an order
STRICT: dict[str, dict[str, Any]] = {
    "dataset": {"name": "cells", "limit": 96},
    "model": {"name": "mini_cnn", "dropout": 0.2},
    "training": {"epochs": 2, "batch_size": 16, "mixup_alpha": 0.2, "ema_decay": 0.9, "clip_norm": 1.0},
    "augmentation": {"vflip": 0.5, "shift": 0.1, "scale": 0.1, "saturation": 0.2},
    "evaluation": {"tta": True},
}


def results(tmp_path: Path, **runtime: Any) -> tuple[str, str, str]:
    """Weight digest, history and scores of one strict run in a process of its own."""
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
