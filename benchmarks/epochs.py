"""A training epoch compared with a bare loop of the same model, on batches that are already in memory."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.rows import Effort, Row, alternating, at_least, seconds
from benchmarks.stand_in import Recipe, job_for, tiny_recipe
from engine.contract.recipe.reader import build_recipe
from engine.contract.wire.protocol import Metrics
from engine.data.batches import in_order
from engine.run.callbacks import TrainingCallbacks
from engine.run.prepare import Prepared, prepare
from engine.run.train_job import open_run
from engine.run.training import TrainingBatches, loop_plan, new_state, training_step
from engine.train.loop import FinishedEpoch, Loop, TakeStep, Validation
from engine.train.loss import Criterion
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.state import TrainingState
from engine.train.step import TrainingStep

MANY_EPOCHS = 10_000  # planned, so that the learning rate hardly moves


@dataclass(frozen=True)
class Case:
    model: str
    steps: int  # an epoch
    goal: float
    batch: int = 64  # images


CASES = (Case("resnet18_adapted", 2, 0.97), Case("mini_cnn", 20, 0.90))


def measure(effort: Effort) -> list[Row]:
    return [row_of("epochs", case, effort) for case in CASES]


def row_of(measurement: str, case: Case, effort: Effort) -> Row:
    ours, other = epoch_times(case, effort.pairs)
    what = f"epoch of {case.model}, {case.steps} x {case.batch}"
    return at_least(Row(measurement, what, "s", ours, "bare loop, no augmentation", other, faster=True), case.goal)


def epoch_times(case: Case, pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of the training half of an epoch, ours and the bare loop's."""
    with alternatives(recipe_of(case)) as (ours, bare):
        ours(), bare()
        return alternating(pairs, ours, bare)


def recipe_of(case: Case) -> Recipe:
    return tiny_recipe(
        dataset={"limit": case.steps * case.batch},
        model={"name": case.model, "pretrained": False},
        training={
            "batch_size": case.batch,
            "epochs": MANY_EPOCHS,
            "amp": False,  # few CPUs gain by it
            "lr": 0.001,  # so that no family diverges
        },
    )


@contextmanager
def alternatives(recipe: Recipe) -> Iterator[tuple[Callable[[], float], Callable[[], float]]]:
    """An epoch of ours and one of the bare loop, as functions that return their seconds."""
    with tempfile.TemporaryDirectory() as folder, job_for(recipe, Path(folder)) as job:
        prepared = prepare(job, build_recipe(recipe))
        bare = BareLoop(prepared)
        run, _ = open_run(job, prepared)
        state = new_state(prepared)
        callbacks = QuietCallbacks(job, run, MANY_EPOCHS)
        step = training_step(prepared, prepared.training.images_per_batch)
        job.enter("training")
        yield lambda: one_epoch(prepared, state, callbacks, step=step), lambda: seconds(bare)


class BareLoop:
    """What a script of ten lines does: forward, backward, step; nothing is read, drawn, recorded or told."""

    def __init__(self, prepared: Prepared) -> None:
        """Memory layout, precision and compilation are those that ours have."""
        training = prepared.training
        self.model = copy.deepcopy(prepared.model).train()
        self.forward = torch.compile(self.model) if training.compile else self.model
        self.context, self.device = prepared.precision.context, prepared.device
        plan = OptimizerPlan(training.optimizer, training.momentum, training.nesterov, training.weight_decay)
        self.optimizer = build_optimizer(self.model, plan)
        for group in self.optimizer.param_groups:
            group["lr"] = training.lr
        self.batches = [
            (prepared.normalise(images.float().div(255)).contiguous(memory_format=torch.channels_last), labels)
            for images, labels in in_order(prepared.splits["train"], training.images_per_batch)
        ]

    def __call__(self) -> None:
        for images, labels in self.batches:
            self.optimizer.zero_grad(set_to_none=True)
            with self.context():
                logits = self.forward(images)
            F.cross_entropy(logits.float(), labels).backward()
            self.optimizer.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class QuietCallbacks(TrainingCallbacks):
    """A run's own callbacks, less the checkpoint after an epoch, which is no training."""

    def epoch_finished(self, state: TrainingState, epoch: FinishedEpoch) -> None:
        pass


def one_epoch(
    prepared: Prepared,
    state: TrainingState,
    callbacks: TrainingCallbacks,
    take_step: TakeStep | None = None,
    step: TrainingStep | None = None,
) -> float:
    """One more epoch of a run's own loop, up to its validation: seconds until the device has done it."""
    ended = 0.0

    def validate(_model: nn.Module) -> Validation:
        nonlocal ended
        ended = time.perf_counter()
        return Validation(Metrics(auc=0.5, acc=0.5, f1=0.5), [])

    plan = replace(loop_plan(prepared, len(state.losses)), epochs=state.epoch + 1, patience=None)
    step = step or TrainingStep(Criterion(prepared.facts.task), prepared.precision, None, state.model)
    began = time.perf_counter()
    with closing(TrainingBatches(prepared)) as batches:
        Loop(plan, state, step, batches, validate, callbacks, take_step).run()
    return ended - began
