"""On a CUDA device: images stay there, mixed precision is on, and the weights come back to any machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import Engine, tiny

from engine.contract.checkpoint_file import verified_digest

pytestmark = pytest.mark.gpu


def test_a_run_on_the_gpu_keeps_images_there_and_completes(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.train(tiny(runtime={"device": "cuda"}))
    started = engine.wait_for_event("run.started")
    assert started["decisions"]["cache"] == "device"
    assert started["decisions"]["amp"].startswith("on")
    assert engine.wait_for_event("run.finished")["outcome"] == "completed"
    assert engine.end() == 0
    assert verified_digest(Path(started["run_dir"]) / "checkpoints" / "best.safetensors")


def test_a_strict_run_on_the_gpu_repeats(tmp_path: Path) -> None:
    from engine.contract.checkpoint_file import weights_digest

    digests = set()
    for _ in range(2):
        engine = Engine(tmp_path, environment={"CUBLAS_WORKSPACE_CONFIG": ":4096:8"})
        engine.train(tiny(runtime={"device": "cuda", "reproducible": True}))
        run = Path(engine.wait_for_event("run.finished")["run_dir"])
        engine.end()
        digests.add(weights_digest(run / "checkpoints" / "best.safetensors"))
    assert len(digests) == 1
