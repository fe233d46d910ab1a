"""The training loop against recursions written out by hand, on models of a few weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engine.contract.wire.monitor import Monitor
from engine.contract.wire.protocol import Metrics
from engine.evaluate.predict import IDENTITY, predict_scores
from engine.sentences import Failure
from engine.train.ema import MovingAverage
from engine.train.loop import FinishedEpoch, Loop, LoopPlan, NonFiniteLoss, Validation, bucketed
from engine.train.loss import Criterion
from engine.train.mixup import MixUp
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.schedule import Plateau, Schedule
from engine.train.state import TrainingState
from engine.train.step import Precision, TrainingStep

FLOAT32 = Precision("cpu", None)
PIXELS, CLASSES = 2 * 3, 3  # images of 3 channels, 2 × 1 pixels


@dataclass
class RecordingCallbacks:
    """Callbacks that record, and end training after `steps` if it is given."""

    steps: int | None = None
    epochs: list[FinishedEpoch] = field(default_factory=list)
    before_each_step: Callable[[TrainingState], None] = lambda state: None

    def boundary(self, state: TrainingState) -> bool:
        self.before_each_step(state)
        return self.steps is None or state.global_step < self.steps

    def snapshot(self, state: TrainingState, loss: float, lr: float, images_per_second: float) -> None:
        assert math.isfinite(loss)

    def epoch_finished(self, state: TrainingState, epoch: FinishedEpoch) -> None:
        self.epochs.append(epoch)


def batch(epoch: int, step: int, size: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    draws = np.random.default_rng([epoch, step])
    images = torch.from_numpy(draws.normal(size=(size, 3, 2, 1)).astype(np.float32))
    return images, torch.from_numpy(draws.integers(0, CLASSES, size))


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES))


def with_buffers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 5), nn.BatchNorm1d(5), nn.Dropout(0.3), nn.Linear(5, CLASSES))


SGD = OptimizerPlan("sgd", momentum=0.0, nesterov=False, weight_decay=0.0)


def new_state(model: nn.Module, steps: int, optimizer: OptimizerPlan = SGD) -> TrainingState:
    return TrainingState(
        model,
        build_optimizer(model, optimizer),
        torch.zeros(steps, dtype=torch.float32),
        torch.zeros(steps, dtype=torch.float64),
    )


def validated(auc: float, acc: float = 0.5) -> Validation:
    return Validation(Metrics(loss=1.0, auc=auc, acc=acc, f1=0.25), [])


def aucs(*values: float) -> Callable[[nn.Module], Validation]:
    given_values: Iterator[float] = iter(values)
    return lambda model: validated(next(given_values))


def loop(
    state: TrainingState,
    *,
    epochs: int = 1,
    images: int | None = None,
    patience: int | None = None,
    lr: float = 0.1,
    schedule: Schedule | None = None,
    clip_norm: float | None = None,
    validate: Callable[[nn.Module], Validation] | None = None,
    callbacks: RecordingCallbacks | None = None,
    fetch: Callable[[int, int], tuple[torch.Tensor, torch.Tensor]] = batch,
    mixup: MixUp = MixUp(0.0, None),  # noqa: B008
    loss_decides: bool = True,
    monitor: Monitor = "auc",
) -> Loop:
    steps = len(state.losses)
    plan = LoopPlan(
        epochs=epochs,
        steps=steps,
        images=4 * steps if images is None else images,
        batch_size=4,
        seed=42,
        patience=patience,
        loss_decides=loss_decides,
        monitor=monitor,
        schedule=schedule or Schedule("constant", lr, 0.0, epochs * steps),
        mixup=mixup,
    )
    step = TrainingStep(Criterion("multi_class"), FLOAT32, clip_norm, state.model)
    return Loop(plan, state, step, fetch, validate or aucs(*[0.5] * epochs), callbacks or RecordingCallbacks())


# Optimizers


def softmax_gradients(
    weight: np.ndarray, bias: np.ndarray, images: torch.Tensor, labels: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Of the mean cross-entropy of a linear model, in float64."""
    inputs, truth = images.flatten(1).double().numpy(), np.eye(CLASSES)[labels.numpy()]
    logits = inputs @ weight.T + bias
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    slope = (chances - truth) / len(inputs)
    return slope.T @ inputs, slope.sum(axis=0)


def weights_of(model: nn.Module) -> list[np.ndarray]:
    return [parameter.detach().double().numpy().copy() for parameter in model.parameters()]


@pytest.mark.parametrize("clip_norm", [None, 0.3])
@pytest.mark.parametrize(
    ("momentum", "nesterov", "decay"),
    [(0.0, False, 0.0), (0.9, False, 0.0), (0.9, True, 0.0), (0.8, False, 0.1), (0.8, True, 0.1)],
)
def test_sgd_is_its_formula_over_three_steps_of_changing_rates(
    momentum: float, nesterov: bool, decay: float, clip_norm: float | None
) -> None:
    state = new_state(linear(), 3, OptimizerPlan("sgd", momentum, nesterov, decay))
    schedule = Schedule("cosine", 0.5, 0.01, 3)
    expected = weights_of(state.model)
    velocity: list[np.ndarray] | None = None
    clipped = 0
    for step in range(3):
        gradients = list(softmax_gradients(*expected, *batch(0, step)))
        norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
        if clip_norm is not None and norm > clip_norm:
            clipped += 1
            gradients = [g * clip_norm / norm for g in gradients]
        gradients = [g + decay * w for g, w in zip(gradients, expected, strict=True)]
        old = velocity or [np.zeros_like(g) for g in gradients]
        velocity = [momentum * v + g for v, g in zip(old, gradients, strict=True)]
        moves = [g + momentum * v for g, v in zip(gradients, velocity, strict=True)] if nesterov else velocity
        rate = 0.01 + (0.5 - 0.01) * (1 + math.cos(math.pi * step / 3)) / 2
        expected = [w - rate * move for w, move in zip(expected, moves, strict=True)]
    assert clip_norm is None or clipped
    assert loop(state, schedule=schedule, clip_norm=clip_norm).run()
    for found, wanted in zip(weights_of(state.model), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_adamw_is_its_formula_over_three_steps() -> None:
    state = new_state(linear(), 3, OptimizerPlan("adamw", 0.8, nesterov=False, weight_decay=0.2))
    expected = weights_of(state.model)
    first, second = ([np.zeros_like(w) for w in expected] for _ in range(2))
    for step in range(3):
        for i, gradient in enumerate(softmax_gradients(*expected, *batch(0, step))):
            first[i] = 0.8 * first[i] + 0.2 * gradient
            second[i] = 0.999 * second[i] + 0.001 * gradient**2
        for i in range(2):
            mean, square = first[i] / (1 - 0.8 ** (step + 1)), second[i] / (1 - 0.999 ** (step + 1))
            expected[i] = expected[i] * (1 - 0.05 * 0.2) - 0.05 * mean / (np.sqrt(square) + 1e-8)
    loop(state, lr=0.05).run()
    for found, wanted in zip(weights_of(state.model), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_clipping_bounds_the_norm_of_all_gradients_together_and_leaves_small_ones() -> None:
    for clip_norm, scales in ((1e-3, True), (1e3, False)):
        state = new_state(linear(), 1)
        before = weights_of(state.model)
        gradients = softmax_gradients(*before, *batch(0, 0))
        norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
        loop(state, lr=1.0, clip_norm=clip_norm).run()
        moves = [b - a for b, a in zip(before, weights_of(state.model), strict=True)]
        moved = math.sqrt(sum(float((m**2).sum()) for m in moves))
        assert moved == pytest.approx(clip_norm if scales else norm, rel=1e-2 if scales else 1e-4)


@pytest.mark.parametrize("clip_norm", [None, 0.3])
def test_a_gradient_scaler_changes_no_step_and_grows(clip_norm: float | None) -> None:
    """A scale that is a power of two cancels exactly, before anything is clipped; it doubles every second step."""
    plain, scaled = new_state(with_buffers(), 4), new_state(with_buffers(), 4)
    scaled.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    for state in (plain, scaled):
        torch.manual_seed(5)
        loop(state, epochs=1, clip_norm=clip_norm).run()
    expected = plain.model.state_dict()
    assert not torch.equal(expected["1.weight"], with_buffers().state_dict()["1.weight"]), "it learned nothing"
    for name, tensor in scaled.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert scaled.scaler.get_scale() == 4096.0


def test_a_step_whose_scaled_gradients_overflow_is_left_out_and_the_scale_halved() -> None:
    state = new_state(linear(), 1)
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)

    def bright(epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = batch(epoch, step)
        return images * 1e4, labels  # and gradients in proportion

    loop(state, epochs=1, fetch=bright).run()
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.model.state_dict().items())
    assert state.scaler.get_scale() == 2.0**126


# The moving average


@pytest.mark.parametrize("decay", [0.999, 0.2])
def test_the_moving_average_is_its_recursion_buffers_too(decay: float) -> None:
    state = new_state(with_buffers(), 4)
    state.average = MovingAverage(state.model, decay)
    seen: list[dict[str, np.ndarray]] = []

    def note(state: TrainingState) -> None:
        seen.append({name: tensor.double().numpy().copy() for name, tensor in state.model.state_dict().items()})

    callbacks = RecordingCallbacks(before_each_step=note)
    loop(state, epochs=2, callbacks=callbacks).run()
    note(state)
    assert len(seen) == 9  # before the first step and after each of eight
    average = seen[0]
    for t, values in enumerate(seen[1:], start=1):
        kept = min(decay, (1 + t) / (10 + t))
        average = {name: kept * average[name] + (1 - kept) * values[name] for name in average}
    assert not state.average.model.training, "its norms use their averages"
    assert not any(parameter.requires_grad for parameter in state.average.model.parameters())
    found = state.average.model.state_dict()
    assert "2.running_var" in found
    for name, tensor in found.items():
        if name.endswith("num_batches_tracked"):
            assert tensor.item() == 8
        else:
            np.testing.assert_allclose(tensor.numpy(), average[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert not np.allclose(found["1.weight"].numpy(), seen[-1]["1.weight"], atol=1e-4)


def test_validation_sees_the_average_where_there_is_one_else_the_weights() -> None:
    for averaged in (True, False):
        state = new_state(linear(), 2)
        state.average = MovingAverage(state.model, 0.9) if averaged else None
        asked: list[nn.Module] = []

        def validate(model: nn.Module, asked: list[nn.Module] = asked) -> Validation:
            asked.append(model)
            return validated(0.5)

        loop(state, validate=validate).run()
        assert asked == [state.average.model if state.average else state.model]


# Epochs


@pytest.mark.parametrize(
    ("patience", "values", "epochs"),
    [
        (2, (0.5, 0.6, 0.6, 0.5, 0.9), 4),
        (2, (0.5, 0.4, 0.6, 0.5, 0.7), 5),
        (1, (0.5, 0.5, 0.9, 0.9, 0.9), 2),
        (3, (math.nan, math.nan, math.nan, 0.9, 0.9), 3),
        (2, (0.5, math.nan, math.nan, 0.9, 0.9), 3),
        (2, (math.nan, 0.5, math.nan, 0.6, math.nan), 5),
        (None, (0.5, 0.5, 0.5, math.nan, 0.5), 5),
    ],
)
def test_training_ends_after_patience_epochs_without_a_better_auc(
    patience: int | None, values: tuple[float, ...], epochs: int
) -> None:
    state = new_state(linear(), 1)
    finished = loop(state, epochs=5, patience=patience, validate=aucs(*values)).run()
    assert finished
    assert len(state.history) == state.epoch == epochs
    np.testing.assert_array_equal([record.val_auc for record in state.history], values[:epochs])


def test_the_best_epoch_is_the_first_of_the_highest_auc_and_nan_is_never_best() -> None:
    state = new_state(linear(), 1)
    loop(state, epochs=6, validate=aucs(math.nan, 0.0, 0.5, 0.5, 0.6, 0.6)).run()
    assert [record.best for record in state.history] == [False, True, True, False, True, False]
    assert (state.best_epoch, state.best_auc, state.without_improvement) == (5, 0.6, 1)
    undefined = new_state(linear(), 1)
    loop(undefined, epochs=2, validate=aucs(math.nan, math.nan)).run()
    assert undefined.best_epoch is None


def test_of_epochs_with_equal_auc_the_lowest_loss_is_best_and_patience_counts_the_auc() -> None:
    values = iter([(1.0, 0.5), (1.0, 0.3), (1.0, 0.4), (0.9, 0.1), (1.0, 0.3), (1.0, math.nan), (1.0, 0.2)])

    def validate(model: nn.Module) -> Validation:
        auc, loss = next(values)
        return Validation(Metrics(loss=loss, auc=auc, acc=0.5, f1=0.5), [])

    state = new_state(linear(), 1)
    loop(state, epochs=7, validate=validate).run()
    assert [record.best for record in state.history] == [True, True, False, False, False, False, True]
    assert (state.best_epoch, state.best_auc, state.without_improvement) == (7, 1.0, 6)


def test_a_run_from_before_loss_tie_breaking_keeps_the_first_epoch_of_the_highest_auc() -> None:
    values = iter([(1.0, 0.5), (1.0, 0.3)])

    def validate(model: nn.Module) -> Validation:
        auc, loss = next(values)
        return Validation(Metrics(loss=loss, auc=auc, acc=0.5, f1=0.5), [])

    state = new_state(linear(), 1)
    loop(state, epochs=2, validate=validate, loss_decides=False).run()
    assert state.best_epoch == 1


# loss, AUC, ACC, F1 of six epochs, each metric at its best in another one
HISTORY = [
    (0.70, 0.60, 0.50, 0.40),
    (0.50, 0.90, 0.60, 0.50),
    (0.60, 0.80, 0.80, 0.30),
    (0.30, 0.70, 0.70, 0.60),
    (0.40, 0.85, 0.75, 0.70),
    (0.45, 0.85, 0.75, 0.65),
]


def measured(*rows: tuple[float, float, float, float]) -> Callable[[nn.Module], Validation]:
    given_rows = iter(rows)

    def validate(model: nn.Module) -> Validation:
        loss, auc, acc, f1 = next(given_rows)
        return Validation(Metrics(loss=loss, auc=auc, acc=acc, f1=f1), [])

    return validate


@pytest.mark.parametrize(
    ("monitor", "bests", "waited"),
    [("loss", [1, 2, 4], 2), ("auc", [1, 2], 4), ("acc", [1, 2, 3], 3), ("f1", [1, 2, 4, 5], 1)],
)
def test_the_monitor_decides_which_epoch_is_the_best_and_what_patience_counts(
    monitor: Monitor, bests: list[int], waited: int
) -> None:
    state = new_state(linear(), 1)
    loop(state, epochs=6, monitor=monitor, validate=measured(*HISTORY)).run()
    assert [record.epoch for record in state.history if record.best] == bests
    assert (state.best_epoch, state.without_improvement) == (bests[-1], waited)
    assert state.best_auc == HISTORY[bests[-1] - 1][1]
    stopped = new_state(linear(), 1)
    loop(stopped, epochs=6, monitor=monitor, patience=2, validate=measured(*HISTORY)).run()
    ends = {"loss": 6, "auc": 4, "acc": 5, "f1": 6}  # two epochs in a row that are no better
    assert stopped.epoch == ends[monitor]


@pytest.mark.parametrize("monitor", ["auc", "acc", "f1"])
def test_of_epochs_that_the_monitor_finds_equal_the_lowest_loss_is_the_best(monitor: Monitor) -> None:
    state = new_state(linear(), 1)
    rows = [(loss, 0.9, 0.9, 0.9) for loss in (0.5, 0.3, 0.3, math.nan, 0.4)]
    loop(state, epochs=5, monitor=monitor, validate=measured(*rows)).run()
    assert [record.best for record in state.history] == [True, True, False, False, False]
    assert state.without_improvement == 4  # an equal value is no improvement


def test_of_epochs_with_equal_loss_the_first_is_the_best() -> None:
    state = new_state(linear(), 1)
    loop(state, epochs=2, monitor="loss", validate=measured((0.5, 0.1, 0.1, 0.1), (0.5, 0.9, 0.9, 0.9))).run()
    assert state.best_epoch == 1


@pytest.mark.parametrize(
    ("monitor", "undefined"),
    [("auc", math.nan), ("loss", math.nan), ("loss", None), ("acc", math.nan), ("f1", math.nan)],
)
def test_an_undefined_value_of_the_monitor_is_never_the_best(monitor: Monitor, undefined: float | None) -> None:
    good = {"loss": 0.5, "auc": 0.5, "acc": 0.5, "f1": 0.5}
    values = iter([good | {monitor: undefined}, good, good | {monitor: undefined}])
    state = new_state(linear(), 1)
    loop(state, epochs=3, monitor=monitor, validate=lambda model: Validation(Metrics(**next(values)), [])).run()
    assert [record.best for record in state.history] == [False, True, False]
    never = new_state(linear(), 1)
    loop(
        never, epochs=1, monitor=monitor, validate=lambda model: Validation(Metrics(**good | {monitor: undefined}), [])
    ).run()
    assert never.best_epoch is None


def test_an_epoch_with_an_undefined_auc_can_be_the_best_by_another_monitor() -> None:
    state = new_state(linear(), 1)
    loop(state, monitor="acc", validate=measured((0.5, math.nan, 0.7, 0.5))).run()
    assert state.best_epoch == 1 and math.isnan(state.best_auc)


def test_a_plateau_watches_the_monitor() -> None:
    """The loss falls in epochs 2 and 3 only; the AUC rises all the time."""
    rows = [(loss, 0.5 + number / 10, 0.5, 0.5) for number, loss in enumerate((0.5, 0.4, 0.3, 0.3, 0.4))]
    for monitor, scale in (("loss", 0.1), ("auc", 1.0)):
        state = new_state(linear(), 1)
        state.plateau = Plateau(patience=2, factor=0.1)
        loop(state, epochs=5, monitor=monitor, validate=measured(*rows)).run()
        assert state.plateau.scale == scale


def test_losses_and_accuracy_of_an_epoch_are_means_over_images() -> None:
    def uneven(epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        return batch(epoch, step, size=(4, 4, 2)[step])

    state = new_state(linear(), 3)
    weight, bias = weights_of(state.model)
    losses, n_correct = [], 0
    for step in range(3):
        images, labels = uneven(0, step)
        logits = images.flatten(1).double().numpy() @ weight.T + bias
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses += list(-np.log(chances[np.arange(len(labels)), labels.numpy()]))
        n_correct += int((logits.argmax(axis=1) == labels.numpy()).sum())
    assert len(losses) == 10
    callbacks = RecordingCallbacks()
    loop(state, images=10, lr=0.0, fetch=uneven, callbacks=callbacks).run()
    (record,) = state.history
    assert record.train_loss == pytest.approx(np.mean(losses), rel=1e-6)
    assert record.train_acc == pytest.approx(n_correct / 10, rel=1e-12)
    (epoch,) = callbacks.epochs
    curve = [(1, np.mean(losses[:4])), (2, np.mean(losses[4:8])), (3, np.mean(losses[8:]))]
    assert [step for step, _ in epoch.curve] == [step for step, _ in curve]
    np.testing.assert_allclose([loss for _, loss in epoch.curve], [loss for _, loss in curve], rtol=1e-6)


def test_an_epochs_record_has_the_validation_metrics_and_the_last_steps_rate() -> None:
    state = new_state(linear(), 2)
    validation = Validation(Metrics(loss=None, auc=0.7, acc=0.6, f1=0.4), [])
    loop(state, epochs=2, schedule=Schedule("cosine", 0.5, 0.1, 4), validate=lambda model: validation).run()
    last = state.history[-1]
    assert (last.epoch, last.val_auc, last.val_acc, last.val_f1) == (2, 0.7, 0.6, 0.4)
    assert math.isnan(last.val_loss)
    assert last.lr == pytest.approx(0.1 + 0.4 * (1 + math.cos(math.pi * 3 / 4)) / 2, rel=1e-12)
    assert state.history[0].lr == pytest.approx(0.1 + 0.4 * (1 + math.cos(math.pi * 1 / 4)) / 2, rel=1e-12)


def test_a_plateau_of_the_auc_lowers_the_rate_of_the_following_epochs() -> None:
    state = new_state(linear(), 1)
    state.plateau = Plateau(patience=2, factor=0.1)
    schedule = Schedule("plateau", 0.5, 0.01, 6)
    loop(state, epochs=6, schedule=schedule, validate=aucs(0.5, 0.4, 0.5, 0.4, 0.3, 0.2)).run()
    assert [record.lr for record in state.history] == pytest.approx([0.5, 0.5, 0.5, 0.05, 0.05, 0.01])


@pytest.mark.parametrize("averaged", [False, True])
def test_validation_is_in_evaluation_mode_and_training_in_training_mode(averaged: bool) -> None:
    modes: list[tuple[str, bool]] = []
    model = with_buffers().eval()  # however it was left
    model.register_forward_pre_hook(lambda module, inputs: modes.append((place, module.training)))
    state = new_state(model, 2)
    state.average = MovingAverage(model, 0.5) if averaged else None
    place = "training"

    def validate(evaluated: nn.Module) -> Validation:
        nonlocal place
        place = "validation"
        images = [batch(9, 9)[0].view(4, 3, 2, 1)]
        predict_scores(evaluated, images, lambda x: x, "multi_class", [IDENTITY], FLOAT32.context, lambda done: None)
        place = "training"
        return validated(0.5)

    loop(state, epochs=2, validate=validate).run()
    assert modes == [("training", True), ("training", True), ("validation", False)] * 2


def test_validation_leaves_a_model_in_evaluation_mode_and_training_continues_in_training_mode() -> None:
    state = new_state(with_buffers(), 1)
    modes: list[bool] = []
    state.model.register_forward_pre_hook(lambda module, inputs: modes.append(module.training))

    def validate(model: nn.Module) -> Validation:
        model.eval()
        return validated(0.5)

    loop(state, epochs=3, validate=validate).run()
    assert modes == [True] * 3


# Ends


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_non_finite_loss_fails_the_run_naming_epoch_and_step(value: float) -> None:
    def broken(epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = batch(epoch, step)
        if (epoch, step) == (1, 2):
            images[0, 0, 0, 0] = value
        return images, labels

    state = new_state(linear(), 4)
    with pytest.raises(NonFiniteLoss) as failure:
        loop(state, epochs=3, fetch=broken).run()
    assert failure.value.exit_code == 5
    assert failure.value.code == Failure.NON_FINITE_LOSS.code
    assert (failure.value.fields["step"], failure.value.fields["epoch"]) == (3, 2)  # both count from 1
    assert len(state.history) == 1


def all_options(
    state_of: Callable[[], TrainingState], callbacks: RecordingCallbacks, state: TrainingState | None = None
) -> Loop:
    return loop(
        state or state_of(),
        epochs=3,
        schedule=Schedule("one_cycle", 0.3, 0.0, 12),
        clip_norm=0.5,
        mixup=MixUp(0.4, 2),
        validate=lambda model: validated(float(weights_of(model)[0].sum())),
        callbacks=callbacks,
    )


def rich_state() -> TrainingState:
    state = new_state(with_buffers(), 4, OptimizerPlan("sgd", 0.9, nesterov=True, weight_decay=0.01))
    state.average = MovingAverage(state.model, 0.9)
    return state


@pytest.mark.parametrize("steps", [1, 3, 4, 7, 11])
def test_interrupted_and_resumed_training_reaches_the_same_weights_bit_for_bit(steps: int) -> None:
    whole = rich_state()
    assert all_options(rich_state, RecordingCallbacks(), whole).run()
    parted = rich_state()
    assert not all_options(rich_state, RecordingCallbacks(steps=steps), parted).run()
    assert parted.global_step == steps
    torch.rand(17)  # draws in between change nothing
    assert all_options(rich_state, RecordingCallbacks(), parted).run()
    assert parted.history == whole.history
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, parted.model.state_dict()[name]), name
    assert whole.average is not None
    assert parted.average is not None
    for name, tensor in whole.average.model.state_dict().items():
        assert torch.equal(tensor, parted.average.model.state_dict()[name]), name


def test_training_ended_by_a_command_is_not_finished_and_validates_nothing() -> None:
    state = new_state(linear(), 4)
    callbacks = RecordingCallbacks(steps=2)
    assert not loop(state, callbacks=callbacks, validate=aucs()).run()
    assert (state.epoch, state.step, callbacks.epochs, state.history) == (0, 2, [], [])


def test_the_weights_of_a_finished_training_are_not_touched_again() -> None:
    state = new_state(linear(), 2)
    loop(state, epochs=2).run()
    before = copy.deepcopy(state.model.state_dict())
    assert loop(state, epochs=2, validate=aucs()).run()
    assert all(torch.equal(before[name], tensor) for name, tensor in state.model.state_dict().items())


# Curves


@given(st.lists(st.floats(0, 10), min_size=1, max_size=700), st.integers(1, 5000))
def test_a_curve_has_at_most_a_hundred_points_whose_means_include_every_loss_once(
    losses: list[float], first: int
) -> None:
    points = bucketed(losses, first)
    assert 1 <= len(points) <= 100
    assert len(losses) > 100 or len(points) == len(losses)
    done = 0
    for end, mean in points:
        bucket = losses[done : end - first + 1]
        assert bucket
        assert mean == pytest.approx(math.fsum(bucket) / len(bucket), abs=1e-12)
        done += len(bucket)
    assert done == len(losses)


def test_a_short_last_batch_makes_no_spike_in_the_curve() -> None:
    # 3 batches of 8 images and one of 2: (0.4 * 8 + 2.4 * 2) / 10 = 0.8 stands for the last two
    assert bucketed([0.6, 0.5, 0.4, 2.4], 1, last_fraction=2 / 8) == [(1, 0.6), (2, 0.5), (4, pytest.approx(0.8))]
    # with 6 images it is a point of its own; in a point of two batches it counts by its images: (1 * 8 + 3 * 2) / 10
    assert bucketed([0.6, 0.5], 1, last_fraction=6 / 8) == [(1, 0.6), (2, 0.5)]
    assert bucketed([2.0, 2.0, 1.0, 3.0], 1, points=2, last_fraction=2 / 8) == [(2, 2.0), (4, pytest.approx(1.4))]


def test_a_bucket_is_placed_at_its_last_step() -> None:
    # width 3: (1, 2, 3), (4, 5)
    assert bucketed([1.0, 2.0, 3.0, 4.0, 5.0], first_step=11, points=2) == [(13, 2.0), (15, 4.5)]
