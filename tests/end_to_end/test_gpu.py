"""On a CUDA device: images stay there, mixed precision is on, runs repeat and resume, the weights load anywhere."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from driving import EVERY_TECHNIQUE, Engine, tiny

from benchmarks.stand_in import job_for, tiny_recipe
from engine.contract.recipe.reader import build_recipe
from engine.contract.store.checkpoint_file import verified_digest, weights_digest
from engine.contract.store.run_directory import RunDirectory
from engine.data.augment import Augmentation, augment, sample
from engine.data.batches import Batches, make_split
from engine.data.trivial_augment import NUMBER
from engine.randomness import seed_step
from engine.run.prepare import prepare
from engine.run.training import TrainingBatches, loop_plan, new_state, training_step
from engine.train.mixup import mix_for

pytestmark = [pytest.mark.gpu, pytest.mark.cold]  # a device that was asked for anything does not survive a fork

CUBLAS = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def strict(model: str = "mini_cnn") -> dict[str, Any]:
    """25 steps per epoch: a pause comes in the middle of one."""
    return tiny(
        dataset={"name": "cells", "limit": 400},
        model={"name": model, "pretrained": False},
        training={"epochs": 2, "batch_size": 16},
        runtime={"device": "cuda", "reproducible": True},
    )


def finished(engine: Engine) -> RunDirectory:
    run = RunDirectory(Path(engine.wait_for_event("run.finished", outcome="completed")["run_dir"]))
    assert engine.end() == 0
    return run


def test_a_run_on_the_gpu_keeps_images_there_and_completes(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.train(tiny(runtime={"device": "cuda"}))
    started = engine.wait_for_event("run.started")
    assert started["decisions"]["cache"] == "device"
    assert started["decisions"]["amp"].startswith("on")
    resolved = started["resolved"]
    assert (resolved["device"], resolved["storage"]) == ("cuda", "device")
    assert resolved["device_name"] and resolved["precision"] in ("bfloat16", "float16")
    run = finished(engine)
    assert verified_digest(run.best)


@pytest.mark.parametrize("model", ["mini_cnn", "resnet18_adapted"])
def test_a_strict_run_on_the_gpu_repeats(tmp_path: Path, model: str) -> None:
    digests = set()
    for _ in range(2):
        engine = Engine(tmp_path, environment=CUBLAS)
        engine.train(strict(model))
        run = finished(engine)
        digests.add((weights_digest(run.best), run.metrics.path.joinpath("history.csv").read_bytes()))
    assert len(digests) == 1


def test_a_strict_run_on_the_gpu_killed_within_an_epoch_resumes_to_the_same_weights(tmp_path: Path) -> None:
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    engine = Engine(tmp_path / "undisturbed", environment=CUBLAS)
    engine.train(strict())
    undisturbed = finished(engine)
    engine = Engine(tmp_path / "killed", environment=CUBLAS)
    engine.train(strict())
    run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
    engine.wait_for(lambda e: e["event"] == "progress" and (e["step"] or 0) > 0)
    engine.send("pause", id="p")
    engine.wait_for_phase("paused")
    assert engine.wait_for_event("checkpoint.saved")["position"]["step"] > 0
    engine.kill()
    engine = Engine(tmp_path / "killed", environment=CUBLAS)
    engine.send("start", id="again", job="train", resume=str(run.root))
    assert engine.wait_for_event("run.started")["attempt"] == 2
    assert finished(engine).root == run.root
    assert weights_digest(run.best) == weights_digest(undisturbed.best)
    histories = [one.metrics.path.joinpath("history.csv").read_bytes() for one in (run, undisturbed)]
    assert histories[0] == histories[1]


def test_strict_runs_with_every_technique_on_the_gpu_repeat_also_when_resumed(tmp_path: Path) -> None:
    recipe = tiny(**EVERY_TECHNIQUE)
    recipe["runtime"] = {"device": "cuda", "reproducible": True}
    results = set()
    for name in ("undisturbed", "stopped"):
        (tmp_path / name).mkdir()
        engine = Engine(tmp_path / name, environment=CUBLAS)
        engine.train(recipe)
        run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
        if name == "stopped":
            engine.wait_for(lambda e: e["event"] == "progress" and (e["step"] or 0) > 0)
            engine.send("pause", id="p")
            engine.wait_for_phase("paused")
            engine.kill()
            engine = Engine(tmp_path / name, environment=CUBLAS)
            engine.send("start", id="again", job="train", resume=str(run.root))
        finished(engine)
        results.add((weights_digest(run.best), run.metrics.path.joinpath("history.csv").read_bytes()))
    assert len(results) == 1


@pytest.mark.parametrize("storage", ["ram", "mapped"])
def test_a_strict_run_on_the_gpu_is_the_same_wherever_its_images_are_and_when_it_is_killed(
    storage: str, tmp_path: Path
) -> None:
    """Batches that are copied while the GPU computes, against images that are held there."""
    results = set()
    for where in ("device", storage):
        (tmp_path / where).mkdir()
        recipe = strict()
        recipe["dataset"]["cache"] = where
        engine = Engine(tmp_path / where, environment=CUBLAS)
        engine.train(recipe)
        started = engine.wait_for_event("run.started")
        assert started["resolved"]["storage"] == where
        run = RunDirectory(Path(started["run_dir"]))
        if where == storage:
            engine.wait_for(lambda e: e["event"] == "progress" and (e["step"] or 0) > 0)
            engine.send("checkpoint", id="c")
            engine.wait_for_event("checkpoint.saved")
            engine.kill()
            engine = Engine(tmp_path / where, environment=CUBLAS)
            engine.send("start", id="again", job="train", resume=str(run.root))
        finished(engine)
        results.add((weights_digest(run.best), run.metrics.path.joinpath("history.csv").read_bytes()))
    assert len(results) == 1


@pytest.mark.parametrize("storage", ["device", "ram", "mapped"])
@pytest.mark.parametrize("compiled", [False, True])
def test_training_steps_on_the_gpu_do_not_wait_for_it(storage: str, compiled: bool, tmp_path: Path) -> None:
    """CUDA itself raises at whatever waits; the first steps may, for memory and kernels."""
    recipe = tiny_recipe(
        dataset={"limit": 320, "cache": storage},
        model={"name": "resnet18", "pretrained": False, "stochastic_depth": 0.2},
        training={
            "batch_size": 16,
            "mixup_alpha": 0.2,
            "cutmix_alpha": 1.0,
            "clip_norm": 1.0,
            "ema_decay": 0.99,
            "class_weights": "balanced",
            "compile": compiled,
            "amp": torch.cuda.is_bf16_supported(),
        },
        augmentation={"rotation": 10, "crop_area": 0.5, "trivial_augment": 1.0, "erasing": 0.5, "contrast": 0.2},
        runtime={"device": "cuda"},
    )
    with job_for(recipe, tmp_path) as job:
        prepared = prepare(job, build_recipe(recipe))
    assert prepared.resolved.storage == storage
    state, take_step = new_state(prepared), training_step(prepared, prepared.training.images_per_batch)
    plan = loop_plan(prepared, len(state.losses))
    with closing(TrainingBatches(prepared)) as batches:
        try:
            for step in range(plan.steps - 1):
                if step == 8:
                    torch.cuda.synchronize()
                    torch.cuda.set_sync_debug_mode("error")
                images, labels = batches(0, step)
                mix = mix_for(plan.mixup, plan.seed, 0, step, len(images), (28, 28))
                assert mix is not None
                seed_step(plan.seed, 0, step)
                state.losses[step], state.n_correct[step] = take_step(
                    state, images, labels, 0.001, mix.on(images.device)
                )
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert bool(torch.isfinite(state.losses).all())


@pytest.mark.parametrize("storage", ["ram", "mapped"])
def test_batches_that_are_copied_to_the_gpu_ahead_are_those_of_the_images(storage: str, tmp_path: Path) -> None:
    """Also while the GPU is busy with other work, and memory of earlier batches is used again."""
    images = np.random.default_rng(0).integers(0, 256, (512, 64, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    held = np.load(tmp_path / "images.npy", mmap_mode="r") if storage == "mapped" else images
    device = torch.device("cuda", 0)
    split = make_split(held, np.arange(512), storage, device)  # type: ignore[arg-type]
    order = np.random.default_rng(1).permutation(512)
    found, work = [], torch.rand(2048, 2048, device=device)
    with closing(Batches(split, 32, lambda epoch: order)) as batches:
        for step in range(batches.steps):
            batch, labels = batches.fetch(0, step)
            work = (work @ work).clamp_(0, 1)  # the copies are ahead of this
            found.append((batch.clone(), labels.clone()))
    for step, (batch, labels) in enumerate(found):
        rows = order[step * 32 : (step + 1) * 32]
        np.testing.assert_array_equal(batch.cpu().numpy(), images[rows].transpose(0, 3, 1, 2))
        np.testing.assert_array_equal(labels.cpu().numpy(), rows)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_gpu_changes_images_as_the_cpu_does(channels: int) -> None:
    """By the same parameters; all but the last of a resampled image's digits."""
    augmentation = Augmentation(
        hflip=0.5, rotation=20, contrast=0.3, crop_area=0.5, trivial_augment=1.0, erasing=0.5, fill=(0.4,) * channels
    )
    images = torch.rand(64, channels, 28, 28, generator=torch.Generator().manual_seed(1))
    sampled = sample(augmentation, 64, np.random.default_rng(0))
    assert sampled.operations is not None
    smooth = ~np.isin(sampled.operations.operation, [NUMBER[name] for name in ("posterize", "solarize", "equalize")])
    here, there = (augment(images.to(device), augmentation, sampled).cpu()[smooth] for device in ("cpu", "cuda"))
    torch.testing.assert_close(there, here, atol=1e-4, rtol=0)


def test_a_run_of_the_gpu_is_evaluated_on_the_cpu(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.train(tiny(runtime={"device": "cuda"}))
    run = finished(engine)
    recipe = run.recipe.path
    recipe.write_text(recipe.read_text().replace("device: cuda", "device: cpu"))
    engine = Engine(tmp_path)
    engine.send("start", id="e", job="evaluate", run=str(run.root))
    assert engine.wait_for_event("run.finished")["exit_code"] == 0
    assert engine.end() == 0
    (evaluation,) = run.root.glob("evaluations/*/evaluation.json")
    assert json.loads(evaluation.read_text())["n"] > 0
