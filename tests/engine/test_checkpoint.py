"""Checkpoints: weights that load anywhere, and damage that is noticed."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn
from torchvision.models import resnet18

from engine.contract.models.catalogue import models
from engine.contract.store.checkpoint_file import verified_digest, weights_digest
from engine.contract.wire.errors import CheckpointError
from engine.model.build import build
from engine.model.plan import ModelPlan
from engine.train import checkpoint
from engine.train.checkpoint import load_weights, save_best, save_last
from engine.train.ema import MovingAverage
from engine.train.schedule import Plateau
from engine.train.state import EpochRecord, TrainingState


def small_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 2 * 2, 3))


def trained_state(model: nn.Module | None = None, *, averaged: bool = False, steps: int = 3) -> TrainingState:
    model = model or small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses, n_correct = torch.rand(5), torch.rand(5, dtype=torch.float64)
    state = TrainingState(model, optimizer, losses, n_correct, epoch=2, step=3, best_epoch=1, best_auc=0.75)
    state.average = MovingAverage(model, 0.9) if averaged else None
    train(state, steps)
    return state


def train(state: TrainingState, steps: int = 1) -> None:
    state.model.train()
    for _ in range(steps):
        state.optimizer.zero_grad()
        state.model(torch.rand(4, 3, 4, 4)).square().sum().backward()
        state.optimizer.step()
        if state.average:
            state.average.update()


def copied(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_equal_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert len(one) > 0
    assert set(one) == set(other)
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("averaged", [False, True])
def test_best_weights_load_strictly_into_a_fresh_model_and_are_the_evaluated_ones(
    averaged: bool, tmp_path: Path
) -> None:
    state = trained_state(averaged=averaged)
    path = tmp_path / "best.safetensors"
    save_best(path, tmp_path / "previous_best.safetensors", state)
    fresh = small_model(seed=9)
    fresh.load_state_dict(load_weights(path), strict=True)
    evaluated = state.average.model if state.average else state.model
    assert_equal_weights(fresh.state_dict(), copied(evaluated))
    assert not averaged or not torch.equal(fresh.state_dict()["0.weight"], state.model.state_dict()["0.weight"])
    assert_equal_weights(safetensors.torch.load_file(path), copied(evaluated))  # without any help of ours


def test_saved_weights_do_not_change_when_training_continues(tmp_path: Path) -> None:
    state, path = trained_state(), tmp_path / "best.safetensors"
    save_best(path, tmp_path / "previous_best.safetensors", state)
    saved, content = copied(state.model), path.read_bytes()
    loaded = load_weights(path)
    train(state, 3)
    assert not torch.equal(state.model.state_dict()["0.weight"], saved["0.weight"])
    assert path.read_bytes() == content
    assert_equal_weights(loaded, saved)
    assert_equal_weights(load_weights(path), saved)


def test_saving_leaves_the_model_as_it_is(tmp_path: Path) -> None:
    state = trained_state(small_model().to(memory_format=torch.channels_last), averaged=True)
    before = copied(state.model)
    save_best(tmp_path / "best.safetensors", tmp_path / "previous_best.safetensors", state)
    save_last(tmp_path / "last.safetensors", tmp_path / "previous.safetensors", state)
    assert_equal_weights(before, state.model.state_dict())
    assert state.model.get_parameter("0.weight").is_contiguous(memory_format=torch.channels_last)


def test_a_channels_last_model_comes_back_bit_for_bit_with_bit_identical_logits(tmp_path: Path) -> None:
    model = small_model().to(memory_format=torch.channels_last)
    state, path = trained_state(model), tmp_path / "best.safetensors"
    assert not model.get_parameter("0.weight").is_contiguous()
    save_best(path, tmp_path / "previous_best.safetensors", state)
    fresh = small_model(seed=5).to(memory_format=torch.channels_last)
    fresh.load_state_dict(load_weights(path), strict=True)
    assert_equal_weights(fresh.state_dict(), copied(model))
    images = torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert torch.equal(fresh.eval()(images), model.eval()(images))


def test_the_best_of_the_adapted_resnet18_loads_strictly_into_a_plain_one(tmp_path: Path) -> None:
    built = build(models()["resnet18_adapted"], ModelPlan(classes=4, size=28, dropout=0.2), ([0.5], [0.5]))
    model = built.module.to(memory_format=torch.channels_last)
    state = TrainingState(model, torch.optim.SGD(model.parameters()), torch.zeros(1), torch.zeros(1))
    save_best(tmp_path / "best.safetensors", tmp_path / "previous_best.safetensors", state)
    plain = resnet18(weights=None)
    plain.conv1, plain.maxpool, plain.fc = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity(), nn.Linear(512, 4)
    plain.load_state_dict(safetensors.torch.load_file(tmp_path / "best.safetensors"), strict=True)
    assert_equal_weights(plain.state_dict(), copied(model))


def test_the_last_checkpoint_keeps_the_generation_before_it(tmp_path: Path) -> None:
    last, previous = tmp_path / "last.safetensors", tmp_path / "previous.safetensors"
    state = trained_state()
    contents = []
    for generation in range(3):
        digest = save_last(last, previous, state)
        assert verified_digest(last) == digest
        contents.append(last.read_bytes())
        assert previous.exists() is (generation > 0)
        if generation:
            assert previous.read_bytes() == contents[generation - 1] != contents[generation]
            verified_digest(previous)
        train(state)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["last.safetensors", "previous.safetensors"]


def test_a_save_that_fails_leaves_both_generations_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, previous = tmp_path / "last.safetensors", tmp_path / "previous.safetensors"
    state = trained_state()
    for _ in range(2):
        save_last(last, previous, state)
        train(state)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(before) == 2

    def disk_full(file: BinaryIO, tensors: object, metadata: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write_safetensors", disk_full)
    with pytest.raises(OSError, match="No space"):
        save_last(last, previous, state)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_the_last_checkpoint_holds_weights_average_momentum_position_sums_and_history(tmp_path: Path) -> None:
    state, path = trained_state(averaged=True), tmp_path / "last.safetensors"
    state.plateau = Plateau(3, 0.5, scale=0.25, waited=1)
    state.without_improvement = 4
    record = EpochRecord(1, 0.1, 1.5, 0.5, math.nan, 0.75, 0.5, 0.25, best=True)
    state.history = [record]
    save_last(path, tmp_path / "previous.safetensors", state)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        told = json.loads(file.metadata()["state"], parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert state.average is not None
    for prefix, model in (("model/", state.model), ("average/", state.average.model)):
        found = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        assert_equal_weights(found, copied(model))
    slots = state.optimizer.state_dict()["state"]
    assert len(slots) == 6
    for index, slot in slots.items():
        assert torch.equal(tensors[f"optimizer/{index}/momentum_buffer"], slot["momentum_buffer"])
    assert torch.equal(tensors["epoch/losses"], state.losses[:3])
    assert torch.equal(tensors["epoch/right"], state.n_correct[:3])
    assert tensors["epoch/right"].dtype == torch.float64
    assert (told["epoch"], told["step"], told["best_epoch"], told["best_auc"]) == (2, 3, 1, 0.75)
    assert (told["without_improvement"], told["average_updates"], told["scaler"]) == (4, 3, None)
    assert (told["plateau"]["scale"], told["plateau"]["waited"]) == (0.25, 1)
    assert told["history"][0] | {"val_loss": None} == vars(record) | {"val_loss": None}


def test_a_checkpoint_at_the_start_of_an_epoch_holds_no_losses_of_it(tmp_path: Path) -> None:
    state, path = trained_state(), tmp_path / "last.safetensors"
    state.step, state.best_epoch, state.best_auc = 0, None, -math.inf
    save_last(path, tmp_path / "previous.safetensors", state)
    verified_digest(path)
    assert safetensors.torch.load_file(path)["epoch/losses"].shape == (0,)


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_checkpoint_is_a_json_header_and_raw_numbers_and_no_pickle(which: str, tmp_path: Path) -> None:
    state, path = trained_state(averaged=True), tmp_path / f"{which}.safetensors"
    (save_best if which == "best" else save_last)(path, tmp_path / "previous.safetensors", state)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert all(isinstance(value, str) for value in header.pop("__metadata__").values())
    spans = sorted(entry["data_offsets"] for entry in header.values())
    assert spans[0][0] == 0
    assert all(end == start for (_, end), (start, _) in pairwise(spans))
    assert 8 + length + spans[-1][1] == len(content)  # nothing but tensors behind the header


def test_the_digest_is_of_the_content_and_holds(tmp_path: Path) -> None:
    state = trained_state()
    digest = save_best(tmp_path / "one.safetensors", tmp_path / "previous_best.safetensors", state)
    assert verified_digest(tmp_path / "one.safetensors") == digest
    assert save_best(tmp_path / "two.safetensors", tmp_path / "previous_best.safetensors", state) == digest
    state.best_auc = 0.8
    assert save_best(tmp_path / "three.safetensors", tmp_path / "previous_best.safetensors", state) != digest
    assert weights_digest(tmp_path / "three.safetensors") == weights_digest(tmp_path / "one.safetensors")
    train(state)
    save_best(tmp_path / "four.safetensors", tmp_path / "previous_best.safetensors", state)
    assert weights_digest(tmp_path / "four.safetensors") != weights_digest(tmp_path / "one.safetensors")


def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    save_best(path, tmp_path / "previous_best.safetensors", trained_state())
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    tried = 0
    for place in [*range(8), *range(8, 8 + length, 7), *range(8 + length, len(content), 11)]:
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        if content[place : place + 1] == b" " and 8 <= place < 8 + length:
            continue  # padding of the header may be another white space
        tried += 1
        with pytest.raises(CheckpointError) as error:
            load_weights(path)
        assert error.value.exit_code == 5
        assert str(error.value.fields["path"]) == str(path)
    assert tried > 100


@pytest.mark.parametrize("kept", [0, 4, 8, 100, -1])
def test_a_cut_off_checkpoint_is_noticed(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    save_best(path, tmp_path / "previous_best.safetensors", trained_state())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError):
        load_weights(path)


def test_a_missing_checkpoint_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        load_weights(tmp_path / "none.safetensors")
    assert str(error.value.fields["path"]) == str(tmp_path / "none.safetensors")
