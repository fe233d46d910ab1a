"""Training from the state's position to the last epoch. Reads top to bottom: epochs, steps, validation, best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import nn

from engine.contract.wire.errors import RunFailed
from engine.contract.wire.monitor import Monitor
from engine.contract.wire.protocol import ClassMetrics, Metrics
from engine.randomness import seed_step
from engine.sentences import Failure
from engine.train.mixup import MixUp, mix_for
from engine.train.mode import train_mode
from engine.train.schedule import Schedule
from engine.train.state import EpochRecord, TrainingState, score_of
from engine.train.step import TrainingStep, parts_of
from engine.train.swa import recompute_statistics

CURVE_POINTS = 100
SNAPSHOT_EVERY = 0.2  # seconds

Fetch = Callable[[int, int], tuple[torch.Tensor, torch.Tensor]]  # (epoch, step) → images, labels on the device
TakeStep = Callable[[TrainingState, float], tuple[torch.Tensor, torch.Tensor]]  # at a rate → loss, images correct


@dataclass(frozen=True)
class LoopPlan:
    epochs: int
    steps: int  # per epoch
    images: int  # per epoch, less a dropped last one
    batch_size: int  # images per step, in as many parts as the step makes of them
    seed: int
    patience: int | None  # epochs
    schedule: Schedule
    mixup: MixUp
    monitor: Monitor = "auc"
    loss_decides: bool = True  # among epochs that the monitor finds equal, which of them is the best
    swa_start: int | None = None  # the first epoch whose weights are averaged, from 1

    def batch_images(self, step: int) -> int:
        """Images in batch `step`, from 0; only the last one may be smaller."""
        return min(self.batch_size, self.images - step * self.batch_size)


@dataclass(frozen=True)
class Validation:
    metrics: Metrics
    per_class: list[ClassMetrics]
    confusion: list[list[int]] | None = None  # rows true, columns predicted; None for multi-label


@dataclass(frozen=True)
class FinishedEpoch:
    record: EpochRecord
    validation: Validation
    seconds: float  # in training steps, since this process began with the epoch
    images_per_second: float
    curve: list[tuple[int, float]]  # (step of the run, mean loss)


class Callbacks(Protocol):
    """Called by the loop: commands are handled and snapshots taken between batches."""

    def boundary(self, state: TrainingState) -> bool:
        """Called before every step. False ends training; it may hold, and it may raise to abort."""

    def on_averaging_batch(self, state: TrainingState, done: int, total: int) -> None:
        """Called before every batch of which batch statistics are recomputed; it may hold or raise as `boundary`."""

    def snapshot(self, state: TrainingState, loss: float, lr: float, images_per_second: float) -> None: ...

    def epoch_finished(self, state: TrainingState, epoch: FinishedEpoch) -> None: ...


class NonFiniteLoss(RunFailed):
    kind = "non_finite_loss"


class Loop:
    def __init__(
        self,
        plan: LoopPlan,
        state: TrainingState,
        step: TrainingStep,
        fetch: Fetch,
        validate: Callable[[nn.Module], Validation],
        callbacks: Callbacks,
        take_step: TakeStep | None = None,
    ) -> None:
        """`take_step`: how the next step is taken, where that is not by this process alone."""
        self.plan, self.state, self.step = plan, state, step
        self.fetch, self.validate, self.callbacks = fetch, validate, callbacks
        self.take_step = take_step or self._take_step
        self._checked = state.step  # losses of the running epoch up to here are known to be finite

    @property
    def over(self) -> bool:
        """Is training done: by the last planned epoch, or early?"""
        patience, state = self.plan.patience, self.state
        return state.epoch >= self.plan.epochs or (patience is not None and state.without_improvement >= patience)

    def run(self) -> bool:
        """Train; False when it was ended before the last planned epoch by command or budget."""
        state = self.state
        while not self.over:
            seconds, images = self._train_epoch()
            if state.step < self.plan.steps:
                return False
            self._finish_epoch(seconds, images)
        return True

    def _train_epoch(self) -> tuple[float, int]:
        """Steps up to the end of the epoch or a command; seconds spent in steps, and images trained on."""
        state, plan = self.state, self.plan
        seconds, images, last_snapshot = 0.0, 0, 0.0
        train_mode(state.model)
        while state.step < plan.steps and self.callbacks.boundary(state):
            began = time.perf_counter()
            lr = self._one_step()
            images += plan.batch_images(state.step)
            state.step += 1
            now = time.perf_counter()
            on_time = now - last_snapshot >= SNAPSHOT_EVERY
            if on_time or state.losses.device.type == "cpu":
                loss = self._read_loss()
            seconds += time.perf_counter() - began
            if on_time:
                last_snapshot = now
                self.callbacks.snapshot(state, loss, lr, images / seconds)
        self._read_loss()
        return seconds, images

    def _one_step(self) -> float:
        state = self.state
        lr = self._lr(state.global_step)
        loss, n_correct = self.take_step(state, lr)
        state.losses[state.step] = loss
        state.n_correct[state.step] = n_correct
        return lr

    def _take_step(self, state: TrainingState, lr: float) -> tuple[torch.Tensor, torch.Tensor]:
        plan = self.plan
        images, labels = self.fetch(state.epoch, state.step)
        shape = images.shape[-2], images.shape[-1]
        mix = mix_for(plan.mixup, plan.seed, state.epoch, state.step, len(images), shape)
        seed_step(plan.seed, state.epoch, state.step)
        return self.step(state, images, labels, lr, mix.on(images.device) if mix is not None else None)

    def _lr(self, step: int) -> float:
        """The rate of step `step` of the run, from 0."""
        return self.plan.schedule(step, self.state.plateau.scale if self.state.plateau else 1.0)

    def _read_loss(self) -> float:
        """The newest loss, after a check of all since the last call. Raises NonFiniteLoss.

        The only place that waits for the device inside an epoch.
        """
        state = self.state
        fresh = state.losses[self._checked : state.step].tolist()
        for step, loss in enumerate(fresh, start=self._checked + 1):
            if not math.isfinite(loss):
                raise NonFiniteLoss(Failure.NON_FINITE_LOSS, loss=loss, step=step, epoch=state.epoch + 1)
        self._checked = state.step
        return fresh[-1] if fresh else math.nan

    def _finish_epoch(self, seconds: float, images: int) -> None:
        state, plan = self.state, self.plan
        self._average_weights()
        validation = self.validate(state.evaluated)
        lr = self._lr(state.global_step - 1)  # the optimizer of a process that resumed here has not seen it
        losses, n_correct = state.losses.tolist(), state.n_correct.tolist()
        weights = [plan.batch_images(step) for step in range(plan.steps)]
        record = EpochRecord(
            epoch=state.epoch + 1,
            lr=lr,
            train_loss=math.fsum(x * n for x, n in zip(losses, weights, strict=True)) / plan.images,
            train_acc=math.fsum(n_correct) / plan.images,
            val_loss=validation.metrics.loss if validation.metrics.loss is not None else math.nan,
            val_auc=validation.metrics.auc,
            val_acc=validation.metrics.acc,
            val_f1=validation.metrics.f1,
            best=False,
        )
        record = self._judged(record)
        curve = bucketed(losses, state.epoch * plan.steps + 1, last_fraction=weights[-1] / plan.batch_images(0))
        state.history.append(record)
        state.epoch += 1
        state.step = 0
        self._checked = 0
        rate = images / seconds if seconds else math.nan
        self.callbacks.epoch_finished(state, FinishedEpoch(record, validation, seconds, rate, curve))

    def _average_weights(self) -> None:
        """Take the weights of the epoch that was just trained into the mean, and make its batch statistics.

        Training that was interrupted here comes here again: the weights are taken in once.
        """
        state, start = self.state, self.plan.swa_start
        if state.swa is None or start is None or (due := state.epoch + 2 - start) < 1:
            return
        if state.swa.epochs < due:
            state.swa.update()
        with self.step.precision.context():
            recompute_statistics(state.swa.model, state.model, self._trained_images())

    def _trained_images(self) -> Iterator[torch.Tensor]:
        """The batches of the epoch as it was trained on them, but for MixUp and CutMix."""
        state, steps = self.state, self.plan.steps
        for step in range(steps):
            self.callbacks.on_averaging_batch(state, step, steps)
            images, _ = self.fetch(state.epoch, step)
            yield from (images[part] for part in parts_of(len(images), self.step.part))

    def _judged(self, record: EpochRecord) -> EpochRecord:
        """The record with whether its epoch is the best so far; the state and its plateau take note."""
        state, monitor = self.state, self.plan.monitor
        score, before = score_of(record, monitor), state.best_record
        best_score = score_of(before, monitor) if before is not None else -math.inf
        better = score > best_score
        # On few images the AUC soon is as high as it gets: among equals the lower loss is the better model
        tie = before is not None and score == best_score and record.val_loss < before.val_loss
        best = better or (self.plan.loss_decides and tie)
        state.without_improvement = 0 if better else state.without_improvement + 1
        if best:
            state.best_epoch, state.best_auc = record.epoch, record.val_auc
        if state.plateau:
            state.plateau.update(score)
        return replace(record, best=best)


def bucketed(
    losses: list[float], first_step: int, points: int = CURVE_POINTS, last_fraction: float = 1.0
) -> list[tuple[int, float]]:
    """At most `points` means of neighbouring losses over their images, each at the last step it holds.

    `last_fraction`: the last batch as a fraction of the others. One of a few images has a noisy loss: less than half a
    point's images join the point before, so that it makes no spike.
    """
    width = max(1, math.ceil(len(losses) / points))
    starts = list(range(0, len(losses), width))
    weights = [1.0] * (len(losses) - 1) + [last_fraction]
    if len(starts) > 1 and math.fsum(weights[starts[-1] :]) < width / 2:
        del starts[-1]
    found = []
    for start, end in zip(starts, [*starts[1:], len(losses)], strict=True):
        images = math.fsum(weights[start:end])
        weighted = (loss * weight for loss, weight in zip(losses[start:end], weights[start:end], strict=True))
        found.append((first_step + end - 1, math.fsum(weighted) / images))
    return found
