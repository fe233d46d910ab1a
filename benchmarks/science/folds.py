"""What a choice of recipe fields is worth by cross-validation on the training and validation images.

The test images are never read here: the arrays of an `.npz` file are loaded one by one, and `TAKEN` are those that are.
A choice trains once per fold, with a seed of its own, and is judged on the images that were left out, after
the last epoch. Images that are nearly the same are in one fold. Batches, augmentation, steps, schedule, averages and
metrics are the engine's own; what is left out is the engine's process, so that many short runs do not each start one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
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
from engine.data.own.duplicates import find_duplicates
from engine.data.own.splits import Sample, divided
from engine.data.own.thumbs import thumbs_of
from engine.device import seed_everything, to_device
from engine.evaluate.metrics import evaluate
from engine.evaluate.predict import predict_scores, views_for
from engine.model.build import Built, build
from engine.model.plan import ModelPlan
from engine.randomness import epoch_order, generator, seed_step
from engine.run.prepare import augmentation_of, mixing_of
from engine.train.ema import MovingAverage
from engine.train.loss import Criterion, balanced_class_weights
from engine.train.mixup import mix_for
from engine.train.mode import train_mode
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.schedule import Schedule
from engine.train.state import TrainingState
from engine.train.step import Precision, TrainingStep

TAKEN = ("train", "val")  # splits whose images are folded
IGNORED: dict[str, dict[str, object]] = {  # fields that this does not do, and where they do nothing
    "training": {
        "accumulate": 1,
        "sampling": "shuffled",
        "freeze": None,
        "layer_decay": 1.0,
        "head_lr": 1.0,
        "swa_start": None,
    },
    "model": {"weights": None, "input_size": None, "stochastic_depth": None, "pretrained": False},
}
VALIDATION = 1 / 8  # of the images that train, where epochs are compared: that of BreastMNIST's own splits
BY = ("auc", "acc", "loss")  # what the best epoch may be decided by
WEIGHTS = "weights"  # the name of the last weights themselves, among the averages


@dataclass(frozen=True)
class Images:
    images: torch.Tensor  # uint8 [N, C, H, W]
    labels: np.ndarray  # int64 [N]
    units: np.ndarray  # int64 [N]: images that are nearly the same have the same one

    def rows(self, chosen: np.ndarray) -> Images:
        numbers = to_device(chosen, self.images.device)
        return Images(self.images[numbers], self.labels[chosen], self.units[chosen])

    def on(self, device: torch.device) -> Images:
        return Images(self.images.to(device), self.labels, self.units)


@dataclass(frozen=True)
class Judged:
    """One model on the images that its training left out."""

    averaged: str  # `weights`, or the decay of the moving average; and what the epoch was decided by, if not the last
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
    labels = labels.reshape(-1).astype(np.int64)
    return Images(torch.from_numpy(np.ascontiguousarray(channels)), labels, units_of(pixels))


def units_of(pixels: np.ndarray) -> np.ndarray:
    """A number per image, the same for images that are nearly the same: int64 [N]. pixels: uint8 [N, H, W(, 3)]."""
    side = pixels.shape[1]
    thumbs = thumbs_of(list(pixels), [(side, side)] * len(pixels))
    found = find_duplicates([blake2b(image.tobytes()).hexdigest() for image in pixels], thumbs)
    units = np.arange(len(pixels))
    for members in found.sets:
        units[members] = members[0]
    return units


def fold_of(data: Images, folds: int, partition: int) -> np.ndarray:
    """The fold of each image, from 1, with each class divided alike: int64 [N]. Each partition is another one."""
    return _parts(data, {str(k): 1 / folds for k in range(1, folds + 1)}, f"science {partition}")


def _parts(data: Images, fractions: Mapping[str, float], key: str) -> np.ndarray:
    units = zip(data.labels.tolist(), data.units.tolist(), strict=True)
    samples = [Sample(str(n), (label,), str(unit)) for n, (label, unit) in enumerate(units)]
    found = divided(samples, fractions, key)
    return np.array([int(found[str(n)]) for n in range(len(samples))])


def recipe_of(values: Mapping[str, Any], settings: Mapping[str, Any], seed: int) -> Recipe:
    """The recipe with some of its fields set: {"training.lr": 0.05}."""
    more: dict[str, Any] = {"training": {"seed": seed}}
    for field, value in settings.items():
        section, _, name = field.partition(".")
        more.setdefault(section, {})[name] = value
    recipe = recipe_from_values(layered(values, more))
    for section, fields in IGNORED.items():
        for name, nothing in fields.items():
            value = getattr(getattr(recipe, section), name)
            if value != nothing:
                raise ValueError(
                    f"{section}.{name}: expected {nothing!r}, which is all that is judged here, found {value!r}"
                )
    return recipe


class Training:
    """A run of a recipe on some of the images, on their device, in the precision that a run has there."""

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
        self.device = images.images.device
        self.precision = Precision(self.device.type, torch.bfloat16 if self.device.type == "cuda" else None)
        self.built.normalisation.to(self.device)
        self.model: nn.Module = self.built.module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.steps = -(-len(images.labels) // training.images_per_step)
        decay = training.ema_decay
        self.average = MovingAverage(self.model, decay) if decay is not None else None

    @property
    def averaged(self) -> dict[str, nn.Module]:
        """The average of the weights by its decay; none if the recipe has none."""
        return {str(self.average.decay): self.average.model} if self.average is not None else {}

    def epochs(self) -> Iterator[int]:
        """Train; the number of each epoch that is done, from 1."""
        training = self.recipe.training
        optimizer = OptimizerPlan(training.optimizer, training.momentum, training.nesterov, training.weight_decay)
        state = TrainingState(
            model=self.model,
            optimizer=build_optimizer(self.model, optimizer, self.built.groups),
            losses=torch.zeros(self.steps, device=self.device),
            n_correct=torch.zeros(self.steps, dtype=torch.float64, device=self.device),
        )
        weights = None
        if training.class_weights == "balanced":
            balanced = balanced_class_weights(self.images.labels, self.facts.classes)
            weights = torch.from_numpy(balanced).to(self.device)
        criterion = Criterion(self.facts.task, training.label_smoothing, weights, training.focal_gamma)
        step = TrainingStep(criterion, self.precision, training.clip_norm, self.model)
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
                step(state, inputs, labels, schedule(epoch * self.steps + number), mix and mix.on(self.device))
                if self.average is not None:
                    self.average.update()
            yield epoch + 1

    def _batch(self, chosen: np.ndarray, epoch: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        batch = self.images.rows(chosen)
        rng = generator(self.recipe.training.seed, "augment", epoch, number)
        sampled = sample(self.augmentation, len(chosen), rng).on(self.device)
        changed = augment(unit_range(batch.images), self.augmentation, sampled)
        inputs = self.built.normalisation(changed).contiguous(memory_format=torch.channels_last)
        return inputs, to_device(batch.labels, self.device)

    def judged(self, held_out: Images, epoch: int, averages: Mapping[str, nn.Module], views: str) -> Iterator[Judged]:
        chosen = views_for(self.facts.symmetry, views == "all")
        names = [str(k) for k in range(self.facts.classes)]
        prepare = partial(_prepared, self.built)
        for name, model in averages.items():
            scores = predict_scores(
                model, held_out.images.split(128), prepare, self.facts.task, chosen, self.precision.context, _ignore
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
    """Trained on the other folds, judged on this one: the weights and their average after the last epoch, with one view
    and all."""
    training = Training(recipe, data.rows(np.flatnonzero(folds != fold)))
    for _ in training.epochs():
        pass
    held_out = data.rows(np.flatnonzero(folds == fold))
    models = {WEIGHTS: training.model} | training.averaged
    return [one for views in ("one", "all") for one in training.judged(held_out, recipe.training.epochs, models, views)]


def by_best_epoch(recipe: Recipe, data: Images, folds: np.ndarray, fold: int) -> list[Judged]:
    """As a run does it: validated on an eighth of the other folds after every epoch, judged on this fold with all views
    at the epoch that each metric of `BY` decides for (ties by the loss), and at the last one."""
    others = data.rows(np.flatnonzero(folds != fold))
    part = _parts(others, {"0": 1 - VALIDATION, "1": VALIDATION}, f"epochs {fold}")
    training = Training(recipe, others.rows(np.flatnonzero(part == 0)))
    validation, held_out = others.rows(np.flatnonzero(part == 1)), data.rows(np.flatnonzero(folds == fold))
    judged: list[tuple[Judged, Judged]] = []
    for epoch in training.epochs():
        model = training.averaged or {WEIGHTS: training.model}
        (seen,), (unseen,) = (
            training.judged(validation, epoch, model, "one"),
            training.judged(held_out, epoch, model, "all"),
        )
        judged.append((seen, unseen))
    found = {"last": judged[-1][1]}
    for metric in BY:
        found[metric] = max(judged, key=lambda pair: _worth(pair[0], metric))[1]
    return [replace(one, averaged=f"{one.averaged}, {by}") for by, one in found.items()]


def _worth(judged: Judged, metric: str) -> tuple[float, float]:
    return (-judged.loss if metric == "loss" else getattr(judged, metric), -judged.loss)
