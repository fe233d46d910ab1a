"""What a choice of recipe fields is worth by cross-validation on the training and validation images.

The test images are never read here: the arrays of an `.npz` file are loaded one by one, and `TAKEN` are those that are.
A choice trains once per fold, with the fold's number as the seed, and is judged on the images that were left out, after
the last epoch. Batches, augmentation, steps, schedule, averages and metrics are the engine's own; what is left out
is the engine's process, so that many short runs do not each start one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from engine.contract.data.datasets import DatasetFacts
from engine.contract.models.catalogue import spec_of
from engine.contract.recipe.reader import layered, recipe_from_values
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sources import facts_of
from engine.data.augment import augment, sample, unit_range
from engine.data.own.splits import Sample, divided
from engine.evaluate.metrics import evaluate
from engine.evaluate.predict import predict_scores, views_for
from engine.model.build import Built, build
from engine.model.plan import ModelPlan
from engine.randomness import epoch_order, generator, seed_everything, seed_step
from engine.run.prepare import augmentation_of, mixing_of
from engine.train.ema import MovingAverage
from engine.train.loss import Criterion
from engine.train.mixup import mix_for
from engine.train.mode import train_mode
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.schedule import Schedule
from engine.train.state import TrainingState
from engine.train.step import Precision, TrainingStep

TAKEN = ("train", "val")  # splits whose images are folded
DECAYS = (0.95, 0.98, 0.99)  # of averages that are kept beside the weights; the recipe's own is one more
FULL = Precision("cpu", None)
WEIGHTS = "weights"  # the name of the last weights themselves, among the averages


@dataclass(frozen=True)
class Images:
    images: torch.Tensor  # uint8 [N, C, H, W]
    labels: np.ndarray  # int64 [N]

    def rows(self, chosen: np.ndarray) -> Images:
        return Images(self.images[torch.from_numpy(chosen)], self.labels[chosen])


@dataclass(frozen=True)
class Judged:
    """One model on the images that its training left out."""

    averaged: str  # `weights`, or the decay of the moving average
    views: str  # `one`, or `all` of the data set
    epoch: int  # from 1
    auc: float
    acc: float
    loss: float


def images_of(archive: Path) -> Images:
    """Training and validation images, one after the other."""
    with np.load(archive) as arrays:
        pixels = np.concatenate([arrays[f"{split}_images"] for split in TAKEN])
        labels = np.concatenate([arrays[f"{split}_labels"] for split in TAKEN])
    channels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    return Images(torch.from_numpy(np.ascontiguousarray(channels)), labels.reshape(-1).astype(np.int64))


def fold_of(labels: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each image, from 1, with each class divided alike: int64 [N]."""
    samples = [Sample(str(n), (int(label),), str(n)) for n, label in enumerate(labels)]
    found = divided(samples, {str(k): 1 / folds for k in range(1, folds + 1)}, "science")
    return np.array([int(found[str(n)]) for n in range(len(labels))])


def recipe_of(values: Mapping[str, Any], settings: Mapping[str, Any], seed: int) -> Recipe:
    """The recipe with some of its fields set: {"training.lr": 0.05}."""
    more: dict[str, Any] = {"training": {"seed": seed}}
    for field, value in settings.items():
        section, _, name = field.partition(".")
        more.setdefault(section, {})[name] = value
    return recipe_from_values(layered(values, more))


class Training:
    """A run of a recipe on some of the images, without validation."""

    def __init__(self, recipe: Recipe, images: Images) -> None:
        self.recipe, self.images = recipe, images
        self.facts: DatasetFacts = facts_of(recipe.dataset)
        pixels = images.images.double() / 255
        statistics = pixels.mean((0, 2, 3)).tolist(), pixels.std((0, 2, 3), correction=0).tolist()
        self.augmentation = augmentation_of(recipe, self.facts, statistics)
        training = recipe.training
        seed_everything(training.seed)
        plan = ModelPlan(self.facts.classes, 28, recipe.model.dropout, None, recipe.model.name)
        self.built: Built = build(spec_of(recipe.model.name), plan, statistics)
        self.model: nn.Module = self.built.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.steps = -(-len(images.labels) // training.images_per_step)
        decays = dict.fromkeys((*DECAYS, training.ema_decay or DECAYS[0]))
        self.averages = {str(decay): MovingAverage(self.model, decay) for decay in decays}

    def epochs(self) -> Iterator[int]:
        """Train; the number of each epoch that is done, from 1."""
        training = self.recipe.training
        optimizer = OptimizerPlan(training.optimizer, training.momentum, training.nesterov, training.weight_decay)
        state = TrainingState(
            model=self.model,
            optimizer=build_optimizer(self.model, optimizer, self.built.groups),
            losses=torch.zeros(self.steps),
            n_correct=torch.zeros(self.steps, dtype=torch.float64),
        )
        criterion = Criterion(self.facts.task, training.label_smoothing, None, training.focal_gamma)
        step = TrainingStep(criterion, FULL, training.clip_norm, self.model)
        total = training.epochs * self.steps
        schedule = Schedule(training.schedule, training.lr, training.min_lr, total, training.warmup_epochs * self.steps)
        for epoch in range(training.epochs):
            train_mode(self.model)
            order = epoch_order(training.seed, epoch, len(self.images.labels))
            for number in range(self.steps):
                chosen = order[number * training.images_per_step : (number + 1) * training.images_per_step]
                seed_step(training.seed, epoch, number)
                inputs, labels = self._batch(chosen, epoch, number)
                mix = mix_for(mixing_of(training), training.seed, epoch, number, len(chosen), (28, 28))
                step(state, inputs, labels, schedule(epoch * self.steps + number), mix)
                for average in self.averages.values():
                    average.update()
            yield epoch + 1

    def _batch(self, chosen: np.ndarray, epoch: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        batch = self.images.rows(chosen)
        rng = generator(self.recipe.training.seed, "augment", epoch, number)
        changed = augment(unit_range(batch.images), self.augmentation, sample(self.augmentation, len(chosen), rng))
        inputs = self.built.normalisation(changed).contiguous(memory_format=torch.channels_last)
        return inputs, torch.from_numpy(batch.labels)

    def judged(self, held_out: Images, epoch: int, averages: Mapping[str, nn.Module], views: str) -> Iterator[Judged]:
        chosen = views_for(self.facts.symmetry, views == "all")
        names = [str(k) for k in range(self.facts.classes)]
        prepare = partial(_prepared, self.built)
        for name, model in averages.items():
            scores = predict_scores(
                model, held_out.images.split(128), prepare, self.facts.task, chosen, FULL.context, _ignore
            )
            found = evaluate(held_out.labels, scores, self.facts.task, names).metrics
            assert found.loss is not None, "only a prediction without labels has none"
            yield Judged(name, views, epoch, found.auc, found.acc, found.loss)


def _prepared(built: Built, images: torch.Tensor) -> torch.Tensor:
    inputs: torch.Tensor = built.normalisation(unit_range(images))
    return inputs


def _ignore(done: int) -> None:
    """Nobody follows the progress of a pass over some hundred images."""


def cross_validated(recipe: Recipe, data: Images, folds: np.ndarray, fold: int) -> list[Judged]:
    """Trained on the other folds, judged on this one: each average after the last epoch with one view and all, and the
    recipe's own average after every third epoch of the second half."""
    held_out = data.rows(np.flatnonzero(folds == fold))
    training = Training(recipe, data.rows(np.flatnonzero(folds != fold)))
    own = str(recipe.training.ema_decay or DECAYS[0])
    found: list[Judged] = []
    last = recipe.training.epochs
    for epoch in training.epochs():
        if epoch < last and epoch > last // 2 and (last - epoch) % 3 == 0:
            found += training.judged(held_out, epoch, {own: training.averages[own].model}, "one")
    models = {WEIGHTS: training.model} | {name: average.model for name, average in training.averages.items()}
    for views in ("one", "all"):
        found += training.judged(held_out, last, models, views)
    return found
