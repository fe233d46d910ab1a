"""Inside an epoch nothing waits for the device, but the loss of a snapshot.

The device is torch's "meta", whose tensors have no values: whatever reads one raises. What is copied there is counted.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from driving import EVERY_TECHNIQUE
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.stand_in import Recipe, job_for, tiny_recipe
from engine.contract.recipe.reader import build_recipe
from engine.data.batches import Split
from engine.run import training
from engine.run.prepare import Prepared, prepare
from engine.run.training import TrainingBatches, loop_plan, new_state, training_step
from engine.train import loop, mixup
from engine.train.loop import FinishedEpoch, Loop, Validation
from engine.train.state import TrainingState

META = torch.device("meta")
STEPS = 5
aten = torch.ops.aten

RECIPES: dict[str, Recipe] = {
    "usual": tiny_recipe(model={"pretrained": False}, training={"mixup_alpha": 0.0}),
    "flips": tiny_recipe(model={"pretrained": False}, augmentation={"rotation": 0, "shift": 0, "scale": 0, "hflip": 1}),
    "techniques": {**tiny_recipe(**EVERY_TECHNIQUE), "runtime": {}},
    "average": tiny_recipe(
        model={"pretrained": False},
        training={"optimizer": "adamw", "lr": 0.001, "ema_decay": 0.99, "clip_norm": 1.0, "mixup_alpha": 0.2},
    ),
}


class Copies(TorchDispatchMode):
    """Copies to the device that would wait for it, from the second training step on."""

    def __init__(self) -> None:
        super().__init__()
        self.counted = False
        self.waiting: list[str] = []
        self.others = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is aten._to_copy.default and args[0].device.type == "cpu" and kwargs.get("device") == META:
            self._count(str(func), bool(kwargs.get("non_blocking")))
        elif func is aten.copy_.default and args[0].device == META and args[1].device.type == "cpu":
            self._count(str(func), bool(kwargs.get("non_blocking", len(args) > 2 and args[2])))
        return func(*args, **kwargs)

    def _count(self, name: str, non_blocking: bool) -> None:
        if not self.counted:
            return
        if non_blocking:
            self.others += 1
        else:
            self.waiting.append(name)


class Some:
    """Ends the epoch after some steps."""

    def __init__(self, copies: Copies) -> None:
        self.copies = copies

    def boundary(self, state: TrainingState) -> bool:
        self.copies.counted = state.step > 0
        return state.step < STEPS

    def on_averaging_batch(self, state: TrainingState, done: int, total: int) -> None: ...

    def snapshot(self, state: TrainingState, loss: float, lr: float, images_per_second: float) -> None: ...

    def epoch_finished(self, state: TrainingState, epoch: FinishedEpoch) -> None: ...


def on_meta(prepared: Prepared) -> Prepared:
    split = prepared.splits["train"]
    images = torch.empty(split.images.shape, dtype=torch.uint8, device=META)
    held = Split(images, split.labels.to(META), META, "device")
    weights = prepared.class_weights.to(META) if prepared.class_weights is not None else None
    prepared.model.to(META)
    prepared.normalise.to(META)
    return replace(prepared, device=META, splits={"train": held}, class_weights=weights)


def some_steps(recipe: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Copies, int]:
    """The copies of some training steps, and how often the newest loss was read."""
    recipe = {**recipe, "training": {**recipe["training"], "batch_size": 4, "accumulate": 2, "amp": False}}
    read = 0

    def read_loss(self: Loop) -> float:
        nonlocal read
        read += 1
        return 0.0

    def validate(model: torch.nn.Module) -> Validation:
        raise AssertionError("the epoch is longer")

    monkeypatch.setattr(Loop, "_read_loss", read_loss)
    monkeypatch.setattr(loop, "SNAPSHOT_EVERY", float("inf"))
    with job_for(recipe, folder) as job:
        prepared = on_meta(prepare(job, build_recipe(recipe)))
    state, copies = new_state(prepared), Copies()
    taken = training_step(prepared, prepared.training.images_per_batch)
    trained = Loop(
        loop_plan(prepared, len(state.losses)), state, taken, TrainingBatches(prepared), validate, Some(copies)
    )
    with copies:
        assert trained.run() is False
    assert state.step == STEPS
    return copies, read


@pytest.mark.parametrize("name", RECIPES)
def test_steps_wait_for_nothing_of_the_device(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies, read = some_steps(RECIPES[name], tmp_path, monkeypatch)
    assert copies.waiting == []
    assert read == 1, "where it ended"


def test_without_mixing_nothing_at_all_is_copied_there_after_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the epoch and its augmentation are there."""
    copies, _ = some_steps(RECIPES["usual"], tmp_path, monkeypatch)
    assert copies.others == 0


def test_a_copy_that_waits_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixup, "to_device", lambda values, device: torch.as_tensor(values).to(device))
    copies, _ = some_steps(RECIPES["average"], tmp_path, monkeypatch)
    assert len(copies.waiting) >= STEPS - 1


def test_a_value_that_is_read_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    augmented = training.augmented

    def reading(*arguments: Any) -> torch.Tensor:
        images = augmented(*arguments)
        images.max().item()
        return images

    monkeypatch.setattr(training, "augmented", reading)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        some_steps(RECIPES["usual"], tmp_path, monkeypatch)
