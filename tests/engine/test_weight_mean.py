"""SWA against torch.optim.swa_utils; what is evaluated; and training that is interrupted while weights are averaged."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from engine.contract.wire.protocol import Metrics
from engine.control import Aborted
from engine.train.checkpoint import save_last
from engine.train.loop import FinishedEpoch, Loop, LoopPlan, Validation
from engine.train.loss import Criterion
from engine.train.mixup import MixUp
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.restore import restore
from engine.train.schedule import Schedule
from engine.train.state import TrainingState
from engine.train.step import Precision, TrainingStep
from engine.train.swa import WeightMean, recompute_statistics

STEPS, EPOCHS, CLASSES = 3, 5, 3
OPTIMIZERS = {kind: OptimizerPlan(kind, 0.9, nesterov=False, weight_decay=0.01) for kind in ("sgd", "adamw", "nadamw")}  # type: ignore[arg-type]


def net(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(dropout), nn.Flatten(), nn.Linear(6 * 16, CLASSES)
    )


def fetch(epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    draws = np.random.default_rng([epoch, step])
    images = torch.from_numpy(draws.normal(size=(8, 3, 6, 6)).astype(np.float32))
    return images, torch.from_numpy(draws.integers(0, CLASSES, 8))


class Noting:
    """Callbacks that keep the weights after each epoch, and may be told to abort while weights are averaged."""

    def __init__(self, on_averaging: Callable[[TrainingState, int], None] = lambda state, done: None) -> None:
        self.ends: list[nn.Module] = []
        self.on_averaging = on_averaging

    def boundary(self, state: TrainingState) -> bool:
        return True

    def on_averaging_batch(self, state: TrainingState, done: int, total: int) -> None:
        assert total == STEPS
        self.on_averaging(state, done)

    def snapshot(self, state: TrainingState, loss: float, lr: float, images_per_second: float) -> None: ...

    def epoch_finished(self, state: TrainingState, epoch: FinishedEpoch) -> None:
        self.ends.append(copy.deepcopy(state.model))


def new_state(optimizer: str = "sgd", dropout: float = 0.0) -> TrainingState:
    model = net(dropout)
    losses, correct = torch.zeros(STEPS), torch.zeros(STEPS, dtype=torch.float64)
    return TrainingState(model, build_optimizer(model, OPTIMIZERS[optimizer]), losses, correct, swa=WeightMean(model))


def trained(
    state: TrainingState, start: int, callbacks: Noting, seen: list[nn.Module] | None = None, part: int | None = None
) -> None:
    def validate(model: nn.Module) -> Validation:
        if seen is not None:
            seen.append(model)
        return Validation(Metrics(auc=0.5, acc=0.5, f1=0.5), [])

    schedule = Schedule("constant", 0.05, 0.0, EPOCHS * STEPS)
    plan = LoopPlan(EPOCHS, STEPS, 8 * STEPS, 8, 42, None, schedule, MixUp(0.3, None), swa_start=start)
    step = TrainingStep(Criterion("multi_class"), Precision("cpu", None), None, state.model, part)
    Loop(plan, state, step, fetch, validate, callbacks).run()


def test_the_mean_and_its_batch_statistics_are_those_of_torch() -> None:
    """Of the weights after epochs 3, 4 and 5, with update_bn on the batches of the last one."""
    state, callbacks = new_state(), Noting()
    trained(state, 3, callbacks)
    reference = AveragedModel(callbacks.ends[2])
    for end in callbacks.ends[2:]:
        reference.update_parameters(end)
    update_bn((fetch(EPOCHS - 1, step) for step in range(STEPS)), reference)
    assert state.swa is not None and state.swa.epochs == 3
    found = state.swa.model.state_dict()
    for name, tensor in reference.module.state_dict().items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-5, msg=name)
    last = callbacks.ends[-1].state_dict()
    assert not torch.allclose(found["0.weight"], last["0.weight"], atol=1e-4)
    assert not torch.allclose(found["1.running_var"], last["1.running_var"], atol=1e-4)


def test_statistics_are_recomputed_without_dropout_and_with_the_momentum_left_as_it_was() -> None:
    source, mean = net(dropout=0.5).train(), net(dropout=0.5)
    batches = [fetch(0, step)[0] for step in range(STEPS)]
    recompute_statistics(mean, source, batches)
    norm = mean[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.momentum == 0.1 and not norm.training
    each = [mean[0](images) for images in batches]
    expected = torch.stack([maps.mean(dim=(0, 2, 3)) for maps in each]).mean(dim=0)
    torch.testing.assert_close(norm.running_mean, expected, atol=1e-6, rtol=1e-5)


def test_frozen_statistics_stay_and_a_model_without_any_reads_no_batch() -> None:
    source = net().train()
    source[1].eval()
    mean = copy.deepcopy(source)
    before = {name: tensor.clone() for name, tensor in mean.state_dict().items()}

    def none():
        raise AssertionError("a batch was read")
        yield

    recompute_statistics(mean, source, none())
    assert all(torch.equal(tensor, before[name]) for name, tensor in mean.state_dict().items())


def test_validation_sees_the_weights_as_trained_before_it_begins_and_then_the_mean() -> None:
    state, seen = new_state(), []  # type: ignore[var-annotated]
    trained(state, 4, Noting(), seen)
    assert state.swa is not None
    assert seen == [state.model] * 3 + [state.swa.model] * 2
    assert state.evaluated is state.swa.model
    assert not state.swa.model.training


def test_averaging_changes_nothing_of_the_training_itself() -> None:
    with_mean, without = new_state(dropout=0.3), new_state(dropout=0.3)
    trained(with_mean, 2, Noting())
    without.swa = None
    trained(without, 2, Noting())
    for name, tensor in with_mean.model.state_dict().items():
        assert torch.equal(tensor, without.model.state_dict()[name]), name


@pytest.mark.parametrize(("epoch", "optimizer"), [(2, "sgd"), (3, "nadamw")], ids=["the first", "a later one"])
def test_training_that_ends_while_weights_are_averaged_continues_bit_for_bit(
    epoch: int, optimizer: str, tmp_path: Path
) -> None:
    """A checkpoint is written in the middle of it, as a pause or an abort does: no epoch is taken in twice."""
    last, before = tmp_path / "last.safetensors", tmp_path / "previous.safetensors"
    whole = new_state(optimizer, 0.3)
    trained(whole, 3, Noting(), part=3)
    expected = save_last(tmp_path / "whole.safetensors", before, whole)

    def aborts(state: TrainingState, done: int) -> None:
        if state.epoch == epoch and done == 1:
            save_last(last, before, state)
            raise Aborted

    with pytest.raises(Aborted):
        trained(new_state(optimizer, 0.3), 3, Noting(aborts), part=3)
    resumed = new_state(optimizer, 0.3)
    with torch.no_grad():
        for parameter in resumed.model.parameters():
            parameter.add_(1.0)
    restore(last, resumed)
    assert (resumed.epoch, resumed.step) == (epoch, STEPS)
    trained(resumed, 3, Noting(), part=3)
    assert save_last(tmp_path / "resumed.safetensors", before, resumed) == expected


def test_a_checkpoint_whose_mean_is_of_more_epochs_than_there_were_is_refused(tmp_path: Path) -> None:
    from engine.contract.wire.errors import CheckpointError

    state = new_state()
    assert state.swa is not None
    state.swa.epochs = 2
    save_last(tmp_path / "last.safetensors", tmp_path / "previous.safetensors", state)
    with pytest.raises(CheckpointError, match="mean of the weights of 2 of 0 epochs"):
        restore(tmp_path / "last.safetensors", new_state())


# ---- NAdamW ----------------------------------------------------------------------------------------------------------


def test_nadamw_is_its_formula_over_three_steps() -> None:
    """Dozat 2016 with torch's decay of the momentum (0.004), and decoupled weight decay."""
    weight = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    model = nn.Linear(2, 2, bias=False)
    model.weight = nn.Parameter(weight.clone())
    optimizer = build_optimizer(model, OptimizerPlan("nadamw", 0.8, nesterov=False, weight_decay=0.2))
    optimizer.param_groups[0]["lr"] = 0.05
    expected, first, second, product = weight.double().numpy(), np.zeros((2, 2)), np.zeros((2, 2)), 1.0
    for step in range(1, 4):
        gradient = np.array([[0.3, -1.0], [2.0, 0.1 * step]])
        model.weight.grad = torch.from_numpy(gradient).float()
        optimizer.step()
        mu, following = (0.8 * (1 - 0.5 * 0.96 ** (t * 0.004)) for t in (step, step + 1))
        product *= mu
        first, second = 0.8 * first + 0.2 * gradient, 0.999 * second + 0.001 * gradient**2
        looked_ahead = following * first / (1 - product * following) + (1 - mu) * gradient / (1 - product)
        expected = expected * (1 - 0.05 * 0.2) - 0.05 * looked_ahead / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(model.weight.detach().numpy(), expected, rtol=1e-5)
