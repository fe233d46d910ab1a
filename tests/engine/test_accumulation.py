"""Accumulated gradients: a step of several batches is the step of one large batch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engine.contract.wire.protocol import Metrics
from engine.train.ema import MovingAverage
from engine.train.loop import FinishedEpoch, Loop, LoopPlan, Validation
from engine.train.loss import Criterion
from engine.train.mixup import MixUp
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.schedule import Schedule
from engine.train.state import TrainingState
from engine.train.step import Precision, TrainingStep, parts_of

IMAGES, STEP, PART = 30, 12, 4  # steps of 12, 12 and 6 images: the last of parts of 4 and 2
CLASSES = 3


class Quiet:
    """Callbacks that keep the learning rates."""

    def __init__(self) -> None:
        self.epochs: list[FinishedEpoch] = []

    def boundary(self, state: TrainingState) -> bool:
        return True

    def on_averaging_batch(self, state: TrainingState, done: int, total: int) -> None: ...

    def snapshot(self, state: TrainingState, loss: float, lr: float, images_per_second: float) -> None: ...

    def epoch_finished(self, state: TrainingState, epoch: FinishedEpoch) -> None:
        self.epochs.append(epoch)


def net() -> nn.Module:
    """Without batch normalisation."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, CLASSES)
    )


def fetch(epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    draws = np.random.default_rng([epoch, step])
    size = min(STEP, IMAGES - step * STEP)
    images = torch.from_numpy(draws.normal(size=(size, 3, 6, 6)).astype(np.float32))
    return images, torch.from_numpy(draws.integers(0, CLASSES, size))


def sets(epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = fetch(epoch, step)
    return images, torch.nn.functional.one_hot(labels, CLASSES).float()


def trained(
    part: int | None,
    criterion: Criterion,
    mixup: MixUp = MixUp(0.0, None),  # noqa: B008
    fetch: Callable[[int, int], tuple[torch.Tensor, torch.Tensor]] = fetch,
    **kept: Any,
) -> tuple[TrainingState, list[FinishedEpoch]]:
    model = net()
    optimizer = build_optimizer(model, OptimizerPlan("sgd", 0.9, nesterov=False, weight_decay=0.01))
    state = TrainingState(model, optimizer, torch.zeros(3), torch.zeros(3, dtype=torch.float64), **kept)
    state.average = MovingAverage(model, 0.9)
    schedule = Schedule("cosine", 0.05, 0.001, 2 * 3)
    plan = LoopPlan(2, 3, IMAGES, STEP, 42, None, schedule, mixup)
    step = TrainingStep(criterion, Precision("cpu", None), 0.5, model, part)
    callbacks = Quiet()
    Loop(plan, state, step, fetch, lambda _: Validation(Metrics(auc=0.5, acc=0.5, f1=0.5), []), callbacks).run()
    return state, callbacks.epochs


WEIGHTS = torch.tensor([0.3, 1.0, 2.5])


@pytest.mark.parametrize(
    ("criterion", "mixup", "fetch"),
    [
        (Criterion("multi_class"), MixUp(0.0, None), fetch),
        (Criterion("multi_class", 0.1, WEIGHTS), MixUp(0.4, None), fetch),
        (Criterion("multi_class", 0.1, WEIGHTS, focal_gamma=2.0), MixUp(0.0, None, 1.0), fetch),
        (Criterion("multi_label", 0.1, WEIGHTS, focal_gamma=1.5), MixUp(0.4, None, 1.0), sets),
    ],
    ids=["plain", "weighted and mixed", "focal and cut", "sets"],
)
def test_batches_that_are_accumulated_are_one_large_batch(criterion: Criterion, mixup: MixUp, fetch: Any) -> None:
    """Weights, average, losses and accuracies to 1e-6, with class weights, mixtures, clipping, and a short last group:
    the schedule, the average and the clipping count steps of the optimizer."""
    large, large_epochs = trained(None, criterion, mixup, fetch)
    small, small_epochs = trained(PART, criterion, mixup, fetch)
    start = net().state_dict()
    assert not torch.allclose(large.model.state_dict()["4.weight"], start["4.weight"], atol=1e-3), "it learned nothing"
    for model in ("model", "average"):
        one, other = (getattr(state, model) for state in (large, small))
        one, other = (found if model == "model" else found.model for found in (one, other))
        for name, tensor in other.state_dict().items():
            torch.testing.assert_close(tensor, one.state_dict()[name], atol=1e-6, rtol=0, msg=name)
    assert small.average is not None and large.average is not None
    assert small.average.updates == large.average.updates == 6
    for one_epoch, other_epoch in zip(large_epochs, small_epochs, strict=True):
        assert other_epoch.record.train_loss == pytest.approx(one_epoch.record.train_loss, abs=1e-6)
        assert other_epoch.record.train_acc == pytest.approx(one_epoch.record.train_acc, abs=1e-12)
        assert other_epoch.record.lr == one_epoch.record.lr
        assert len(other_epoch.curve) == 3


def test_a_gradient_scaler_unscales_the_sum_once() -> None:
    plain, _ = trained(PART, Criterion("multi_class"))
    scaled, _ = trained(PART, Criterion("multi_class"), scaler=torch.amp.GradScaler("cpu", init_scale=1024.0))
    for name, tensor in scaled.model.state_dict().items():
        torch.testing.assert_close(tensor, plain.model.state_dict()[name], atol=1e-7, rtol=0, msg=name)


def test_a_short_last_part_weighs_as_its_images() -> None:
    """Losses 1, 1, 1, 1 and 7 in parts of four and... one joins: by hand (4 + 7) / 5, not (1 + 7) / 2."""

    class Given(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.weight * images[:, 0, 0, :2]

    model = Given()
    state = TrainingState(
        model,
        build_optimizer(model, OptimizerPlan("sgd", 0.0, nesterov=False, weight_decay=0.0)),
        *[torch.zeros(1)] * 2,
    )
    wrong = torch.tensor([2.0, 2.0, 2.0, 2.0, 9.0, 9.0])  # by how much the other class is ahead
    images = torch.zeros(6, 3, 1, 2)
    images[:, 0, 0, 1] = wrong
    step = TrainingStep(Criterion("binary"), Precision("cpu", None), None, model, 4)
    loss, n_correct = step(state, images, torch.zeros(6, dtype=torch.long), 0.0, None)
    assert float(loss) == pytest.approx(float(torch.log1p(wrong.exp()).mean()), rel=1e-6)
    assert n_correct == 0


@given(images=st.integers(2, 300), size=st.integers(2, 64))
def test_parts_cover_a_batch_in_order_and_none_has_one_image(images: int, size: int) -> None:
    parts = parts_of(images, size)
    rows = [row for part in parts for row in range(part.start, part.stop)]
    assert rows == list(range(images))
    lengths = [part.stop - part.start for part in parts]
    assert min(lengths) > 1
    assert max(lengths) <= size + 1
    assert all(length == size for length in lengths[:-1])


def test_one_part_is_the_step_as_it_was() -> None:
    """Bit for bit: a run without accumulation is what it was before there was any."""
    one, _ = trained(None, Criterion("multi_class"), MixUp(0.4, None))
    other, _ = trained(STEP, Criterion("multi_class"), MixUp(0.4, None))
    for name, tensor in other.model.state_dict().items():
        assert torch.equal(tensor, one.model.state_dict()[name]), name


def test_batch_statistics_see_each_part() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 36, CLASSES))
    expected = copy.deepcopy(model[0])
    state = TrainingState(
        model,
        build_optimizer(model, OptimizerPlan("sgd", 0.0, nesterov=False, weight_decay=0.0)),
        *[torch.zeros(1)] * 2,
    )
    images, labels = fetch(0, 0)
    step = TrainingStep(Criterion("multi_class"), Precision("cpu", None), None, model, PART)
    step(state, images, labels, 0.0, None)
    for part in images.split(PART):
        expected(part)
    torch.testing.assert_close(model[0].running_var, expected.running_var)
    assert int(model[0].num_batches_tracked) == 3
    assert replace(step, part=None).part is None
