"""Checkpoints read back: training continues bit for bit, and a mismatch is an error message."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from engine.contract.store.checkpoint_file import DIGEST, ContentDigest, read_header, verified_digest
from engine.contract.store.run_directory import RunDirectory, make_parts
from engine.contract.wire.errors import CheckpointError
from engine.run.callbacks import TrainingCallbacks
from engine.run.resume import recover_best, restore_newest
from engine.run.retention import drop_previous_checkpoints
from engine.sentences import Alarms, Checkpoints
from engine.train.checkpoint import save_best, save_last
from engine.train.ema import MovingAverage
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.restore import holds_best, restore
from engine.train.schedule import Plateau
from engine.train.state import EpochRecord, TrainingState

STEPS = 5  # an epoch


def new_state(optimizer: Any = "sgd", seed: int = 0, width: int = 4) -> TrainingState:
    """A state as a run begins with it, in the memory layout that runs use."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Dropout(0.2), nn.Flatten(), nn.Linear(width * 4, 3)]
    model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    state = TrainingState(
        model,
        build_optimizer(model, OptimizerPlan(optimizer, 0.9, nesterov=False, weight_decay=0.01)),
        torch.zeros(STEPS),
        torch.zeros(STEPS, dtype=torch.float64),
    )
    state.average = MovingAverage(model, 0.9)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    state.plateau = Plateau(2, 0.5)
    return state


def train(state: TrainingState, steps: int) -> None:
    """Steps whose every draw comes from their number, as in a run."""
    assert state.scaler is not None
    assert state.average is not None
    state.model.train()
    for _ in range(steps):
        torch.manual_seed(1000 + state.global_step)
        for group in state.optimizer.param_groups:
            group["lr"] = 0.1 / (1 + state.global_step)
        images = torch.rand(4, 3, 4, 4).contiguous(memory_format=torch.channels_last)
        state.optimizer.zero_grad()
        loss = state.model(images).square().mean()
        state.scaler.scale(loss).backward()
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.average.update()
        state.losses[state.step], state.n_correct[state.step] = loss.detach(), state.step / 3
        state.step += 1
        if state.step == STEPS:
            auc = 0.5 + 0.1 * math.sin(state.epoch)
            state.history.append(EpochRecord(state.epoch + 1, 0.1, 1 / 3, 0.5, math.nan, auc, 0.5, 1e-7, best=False))
            state.plateau.update(auc) if state.plateau else None
            state.best_epoch, state.best_auc = state.epoch + 1, auc
            state.epoch, state.step = state.epoch + 1, 0


def everything(state: TrainingState, folder: Path) -> str:
    """The digest of all that a checkpoint of it holds."""
    return save_last(folder / "everything.safetensors", folder / "before.safetensors", state)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("steps", [0, 1, 7, 10], ids=["untrained", "one step", "within an epoch", "between epochs"])
def test_a_restored_state_trains_on_bit_for_bit(optimizer: str, steps: int, tmp_path: Path) -> None:
    whole = new_state(optimizer)
    train(whole, steps)
    saved = save_last(tmp_path / "last.safetensors", tmp_path / "previous.safetensors", whole)
    train(whole, 8)
    state = new_state(optimizer, seed=9)
    restore(tmp_path / "last.safetensors", state)
    assert everything(state, tmp_path) == saved
    assert state.model.get_parameter("0.weight").is_contiguous(memory_format=torch.channels_last)
    train(state, 8)
    assert everything(state, tmp_path) == everything(whole, tmp_path) != saved
    assert (state.epoch, state.step) == (whole.epoch, whole.step)


def test_a_reused_state_is_overwritten_completely(tmp_path: Path) -> None:
    state, other = new_state(), new_state(seed=3)
    train(state, 2)
    saved = save_last(tmp_path / "last.safetensors", tmp_path / "previous.safetensors", state)
    train(other, 9)
    restore(tmp_path / "last.safetensors", other)
    assert everything(other, tmp_path) == saved


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    state = new_state(width=8)
    train(state, 1)
    save_last(tmp_path / "last.safetensors", tmp_path / "previous.safetensors", state)
    with pytest.raises(CheckpointError) as error:
        restore(tmp_path / "last.safetensors", new_state())
    assert error.value.code == Checkpoints.UNFIT.code


def test_best_weights_are_not_a_state_to_resume_from(tmp_path: Path) -> None:
    state = new_state()
    train(state, STEPS)
    save_best(tmp_path / "best.safetensors", tmp_path / "previous_best.safetensors", state)
    with pytest.raises(CheckpointError) as error:
        restore(tmp_path / "best.safetensors", state)
    assert error.value.code == Checkpoints.FORMAT.code


def forged(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A checkpoint whose state was changed, and whose digest holds."""
    tensors, header = load_file(path), read_header(path)
    values = json.loads(header.metadata["state"])
    change(values)
    metadata = {"format": header.metadata["format"], "state": json.dumps(values)}
    digest = ContentDigest()
    for entry in header.entries:
        digest.tensor(entry.name, entry.dtype, entry.shape)
        digest.data(tensors[entry.name].reshape(-1).view(torch.uint8).numpy())
    digest.metadata(metadata)
    save_file(tensors, path, {**metadata, DIGEST: digest.hex()})
    verified_digest(path)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": -1},
        {"epoch": 10**12},
        {"step": STEPS + 1},
        {"step": "many"},
        {"history": "long"},
        {"history": [{"epoch": 1}]},
        {"best_auc": None},
        {"scaler": {"scale": "big"}},
        {"plateau": 3},
    ],
    ids=str,
)
def test_an_impossible_state_is_refused_though_its_digest_matches(change: dict[str, Any], tmp_path: Path) -> None:
    state, path = new_state(), tmp_path / "last.safetensors"
    train(state, 2)
    save_last(path, tmp_path / "previous.safetensors", state)
    forged(path, lambda values: values.update(change))
    with pytest.raises(CheckpointError) as error:
        restore(path, new_state())
    assert (error.value.code, error.value.fields["path"]) == (Checkpoints.UNFIT.code, path)


def test_best_holds_the_right_weights(tmp_path: Path) -> None:
    best, previous = tmp_path / "best.safetensors", tmp_path / "previous_best.safetensors"
    state = new_state()
    train(state, STEPS)
    assert not holds_best(best, state)
    save_best(best, previous, state)
    assert holds_best(best, state)
    train(state, STEPS)
    assert not holds_best(best, state)
    save_best(best, previous, state)
    assert holds_best(best, state)
    assert not holds_best(previous, state)
    best.write_bytes(best.read_bytes()[:-1])
    assert not holds_best(best, state)


def test_whichever_fsync_or_rename_fails_last_or_previous_is_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three generations are written; each fsync and rename among them fails in turn, until none is left."""
    failed, nth = 0, 0
    while nth == failed:
        nth += 1
        folder = tmp_path / str(nth)
        folder.mkdir()
        failed += three_generations(folder, nth, monkeypatch)
    assert failed >= 3 * 3, "a file's fsync, a rename and a folder's fsync each"


def three_generations(folder: Path, nth: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Did the Nth operation happen, and so fail?"""
    count, saved = 0, 0

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == nth:
                raise OSError(5, os.strerror(5))
            return real(*arguments, **named)

        return operation

    last, previous, state = folder / "last.safetensors", folder / "previous.safetensors", new_state()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing(os.fsync))
        patched.setattr(os, "rename", failing(os.rename))
        try:
            for _ in range(3):
                train(state, 1)
                save_last(last, previous, state)
                saved += 1
        except OSError:
            newest = last if last.exists() else previous
            if saved or newest.exists():
                restored = new_state()
                restore(newest, restored)
                assert restored.step in (saved, saved + 1)
            assert not list(folder.glob(".*"))
            return True
    return False


def test_weights_after_a_non_finite_loss_are_never_saved(tmp_path: Path) -> None:
    """On a device the loop looks at the losses now and then; a checkpoint in between must not take the good one's
    place."""
    run, state = RunDirectory(tmp_path), new_state()
    make_parts(run)
    stream = SimpleNamespace(sync_journal=lambda: None, emit=lambda event: None)
    callbacks = TrainingCallbacks(SimpleNamespace(stream=stream), run, 1, None, None, None)
    train(state, 2)
    callbacks.save(state)
    good = run.last.path.read_bytes()
    train(state, 1)
    state.losses[1] = math.nan
    callbacks.save(state)
    assert run.last.path.read_bytes() == good
    assert not run.previous.path.exists()
    state.losses[1] = 0.5
    callbacks.save(state)
    assert run.previous.path.read_bytes() == good


def test_the_position_of_a_run_that_monitors_the_loss_is_restored_with_an_undefined_auc(tmp_path: Path) -> None:
    state, path = new_state(), tmp_path / "last.safetensors"
    train(state, STEPS)
    state.history[-1] = replace(state.history[-1], val_auc=math.nan)
    state.best_auc = math.nan
    state.plateau = Plateau(2, 0.5, best=-0.75)  # of a loss: the higher the better
    save_last(path, tmp_path / "previous.safetensors", state)
    found = new_state()
    found.plateau = Plateau(2, 0.5)
    restore(path, found)
    assert (found.best_epoch, found.plateau) == (1, state.plateau)
    assert math.isnan(found.best_auc)
    forged(path, lambda values: values["history"][0].update(val_auc=0.5))
    with pytest.raises(CheckpointError, match="a best AUC of nan of epoch 1 of 1"):
        restore(path, new_state())


def lose(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.unlink()
    if how == "truncated":
        path.write_bytes(content[:-9])
    elif how == "a folder":
        path.mkdir()


@pytest.mark.parametrize("how", ["deleted", "truncated", "a folder"])
def test_a_run_whose_best_weights_are_lost_resumes_from_the_generation_that_holds_them(
    how: str, tmp_path: Path
) -> None:
    run, state, told = RunDirectory(tmp_path / "run"), new_state(), []
    run.root.mkdir()
    make_parts(run)
    train(state, STEPS)
    save_last(run.last, run.previous, state)
    save_best(run.best, run.previous_best, state)
    expected, best = everything(state, tmp_path), run.best.path.read_bytes()
    train(state, 1)
    save_last(run.last, run.previous, state)
    lose(run.best.path, how)
    job = SimpleNamespace(stream=SimpleNamespace(alarm=lambda *kinds, **fields: told.append(fields)))
    found = new_state(seed=1)
    assert restore_newest(job, run, found) == run.previous
    assert everything(found, tmp_path) == expected
    if how == "a folder":
        run.best.put_aside()
    recover_best(run, found, lambda state: save_best(run.best, run.previous_best, state))
    assert run.best.path.read_bytes() == best
    assert [(fields["epoch"], fields["step"]) for fields in told] == [(2, 0)]
    run.best.delete()
    run.previous.delete()
    with pytest.raises(CheckpointError, match="does not hold the weights of epoch 1, the best so far") as refused:
        restore_newest(job, run, new_state())
    assert refused.value.code == Checkpoints.BEST_LOST.code


# ---- what a completed run keeps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("damaged", [None, "last", "best"])
def test_older_checkpoints_are_deleted_only_when_the_newest_are_verified(damaged: str | None, tmp_path: Path) -> None:
    run, state, told = RunDirectory(tmp_path), new_state(), []
    make_parts(run)
    for _ in range(2):
        train(state, 1)
        state.best_epoch, state.best_auc = 1, 0.5 + state.step / 10
        save_last(run.last, run.previous, state)
        save_best(run.best, run.previous_best, state)
    files = {name: (run.root / "checkpoints" / name).read_bytes() for name in run.checkpoints.names()}
    assert len(files) == 4
    if damaged:
        path = run.root / f"checkpoints/{damaged}.safetensors"
        path.write_bytes(bytes([*path.read_bytes()[:-1], path.read_bytes()[-1] ^ 1]))
    job = SimpleNamespace(stream=SimpleNamespace(alarm=lambda *kinds, **fields: told.append((*kinds, fields))))
    drop_previous_checkpoints(job, run, state)
    if damaged:
        assert run.checkpoints.names() == sorted(files)
        ((kind, sentence, fields),) = told
        assert (kind, sentence.code) == ("checkpoint", Alarms.CHECKPOINT_ALTERED.code)
        assert fields["file"] == f"checkpoints/{damaged}.safetensors"
    else:
        assert run.checkpoints.names() == ["best.safetensors", "last.safetensors"] and not told


ROW = {
    "epoch": 1, "lr": 0.1, "train_loss": 0.1, "train_acc": 0.5, "val_loss": 0.1, "val_auc": 0.5, "val_acc": 0.5,
    "val_f1": 0.5, "best": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 1, "history": [ROW | {"epoch": 7}]},
        {"epoch": 1, "history": [ROW | {"lr": "NaN"}]},
        {"epoch": 1, "history": [ROW | {"lr": "Infinity"}]},
        {"epoch": 1e300},
        {"step": 1e300},
        {"step": "Infinity"},
        {"best_epoch": 10**9, "best_auc": 0.5},
        {"best_epoch": 1, "best_auc": 0.5},
        {"epoch": 1, "history": [ROW], "best_epoch": 1, "best_auc": 1.5},
        {"epoch": 1, "history": [ROW], "best_epoch": 1, "best_auc": -0.5},
        {"epoch": 1, "history": [ROW], "without_improvement": 2},
        {"best_auc": 0.5},
        {"best_auc": "NaN"},
        {"without_improvement": 10**400},
        {"average_updates": 10**400},
        {"average_updates": -1},
        {"scaler": {}},
        {
            "scaler": {
                "scale": -1,
                "growth_factor": 2,
                "backoff_factor": 0.5,
                "growth_interval": 1,
                "_growth_tracker": 0,
            }
        },
        {"plateau": {"patience": 2, "factor": 0.5, "scale": "Infinity", "best": 0.5, "waited": 0}},
        {"plateau": {"patience": 2, "factor": 0.5, "scale": 1, "best": 0.5, "waited": 10**30}},
    ],
    ids=lambda change: str(change)[:60],
)
def test_an_impossible_training_position_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    test_an_impossible_state_is_refused_though_its_digest_matches(change, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 1, "history": [ROW | {"lr": 0}], "best_epoch": 1, "best_auc": 0, "without_improvement": 1},
        {"epoch": 1, "history": [ROW], "best_epoch": 1, "best_auc": 1, "without_improvement": 0},
        {"plateau": {"patience": 1, "factor": 0.5, "scale": 1, "best": "-Infinity", "waited": 0}},
        {"epoch": 1, "history": [ROW], "plateau": {"patience": 1, "factor": 0.5, "scale": 0, "best": 1, "waited": 1}},
    ],
    ids=str,
)
def test_a_position_at_the_very_edge_of_what_is_possible_is_restored(change: dict[str, Any], tmp_path: Path) -> None:
    state, path = new_state(), tmp_path / "last.safetensors"
    train(state, 2)
    save_last(path, tmp_path / "previous.safetensors", state)
    forged(path, lambda values: values.update(change))
    restored = new_state()
    restore(path, restored)
    assert restored.epoch == change.get("epoch", 0) and restored.step == 2
    assert restored.best_auc == change.get("best_auc", -math.inf)
    assert restored.plateau is not None and restored.plateau.scale == change.get("plateau", {"scale": 1})["scale"]


def with_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """A checkpoint of other tensors, whose digest holds."""
    tensors, header = load_file(path), read_header(path)
    change(tensors)
    metadata = {key: value for key, value in header.metadata.items() if key != DIGEST}
    save_file(tensors, path, metadata)
    digest = ContentDigest()
    for entry in read_header(path).entries:
        digest.tensor(entry.name, entry.dtype, entry.shape)
        digest.data(tensors[entry.name].contiguous().reshape(-1).view(torch.uint8).numpy())
    digest.metadata(metadata)
    save_file(tensors, path, {**metadata, DIGEST: digest.hex()})
    verified_digest(path)


def renamed(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], None]:
    return lambda tensors: tensors.update({new: tensors.pop(old)})


def retyped(name: str, dtype: torch.dtype) -> Callable[[dict[str, torch.Tensor]], None]:
    return lambda tensors: tensors.update({name: tensors[name].to(dtype)})


def without(name: str) -> Callable[[dict[str, torch.Tensor]], None]:
    return lambda tensors: tensors.__delitem__(name)


FORGED: dict[str, tuple[str, Callable[[dict[str, torch.Tensor]], None]]] = {
    "a huge index": ("sgd", renamed("optimizer/0/momentum_buffer", "optimizer/99999999999999999999/momentum_buffer")),
    "an index too many": ("sgd", renamed("optimizer/0/momentum_buffer", "optimizer/6/momentum_buffer")),
    "a negative index": ("sgd", renamed("optimizer/0/momentum_buffer", "optimizer/-1/momentum_buffer")),
    "no number": ("sgd", renamed("optimizer/0/momentum_buffer", "optimizer/zero/momentum_buffer")),
    "another script's number": ("sgd", renamed("optimizer/0/momentum_buffer", "optimizer/٠/momentum_buffer")),
    "no index": ("sgd", renamed("optimizer/0/momentum_buffer", "optimizer/momentum_buffer")),
    "an unknown slot": ("sgd", renamed("optimizer/0/momentum_buffer", "optimizer/0/velocity")),
    "a slot too few": ("adamw", without("optimizer/0/exp_avg")),
    "a parameter too few": ("sgd", without("optimizer/0/momentum_buffer")),
    "another dtype": ("sgd", retyped("optimizer/0/momentum_buffer", torch.int64)),
    "a boolean slot": ("adamw", retyped("optimizer/0/exp_avg_sq", torch.bool)),
    "another shape": ("sgd", lambda tensors: tensors.update({"optimizer/0/momentum_buffer": torch.zeros(2, 2)})),
    "a number for a slot": ("sgd", lambda tensors: tensors.update({"optimizer/0/momentum_buffer": torch.tensor(1.0)})),
    "steps that are no number": ("adamw", lambda tensors: tensors.update({"optimizer/0/step": torch.tensor(math.nan)})),
    "endless steps": ("adamw", lambda tensors: tensors.update({"optimizer/0/step": torch.tensor(math.inf)})),
    "weights of another dtype": ("sgd", retyped("model/0.weight", torch.float64)),
    "losses too many": ("sgd", lambda tensors: tensors.update({"epoch/losses": torch.zeros(99)})),
    "no losses": ("sgd", without("epoch/losses")),
}


@pytest.mark.parametrize("kind", FORGED)
def test_tensors_of_wrong_shape_are_refused_though_their_digest_matches(kind: str, tmp_path: Path) -> None:
    optimizer, change = FORGED[kind]
    state, path = new_state(optimizer), tmp_path / "last.safetensors"
    train(state, 2)
    save_last(path, tmp_path / "previous.safetensors", state)
    restore(path, new_state(optimizer))
    with_tensors(path, change)
    with pytest.raises(CheckpointError) as error:
        restore(path, new_state(optimizer))
    assert (error.value.code, error.value.fields["path"]) == (Checkpoints.UNFIT.code, path)
