"""Conflicts between the fields of a recipe, each with what to write instead."""

from __future__ import annotations

from engine.contract.data.datasets import DatasetFacts
from engine.contract.models.catalogue import models
from engine.contract.recipe.sections import Sections, TrainingSection
from engine.contract.recipe.sources import DatasetSection, facts_of, source_conflicts
from engine.contract.wire.errors import Problem, RecipeError

ENDING_AT_MIN_LR = ("cosine", "plateau")  # the other schedules ignore `min_lr`


def conflicts(recipe: Sections) -> list[Problem]:
    """Conflicts between fields, each with what to write instead. Without looking at files or the machine."""
    return (
        _dataset_conflicts(recipe.dataset)
        + _model_conflicts(recipe)
        + _training_conflicts(recipe.training)
        + _strict_conflicts(recipe)
    )


def facts_conflicts(recipe: Sections, facts: DatasetFacts) -> list[Problem]:
    """What fields say against the data set that they are for, as far as its facts are known."""
    dataset, augmentation, found = recipe.dataset, recipe.augmentation, []
    if dataset.size not in facts.sizes:
        sizes = " or ".join(map(str, facts.sizes))
        found.append(Problem(("dataset", "size"), f"must be {sizes} px for {facts.name}, found {dataset.size}"))
    if dataset.archive is not None and facts.synthetic:
        found.append(
            Problem(("dataset", "archive"), f"cannot be used with {facts.name}, which is generated: remove `archive`")
        )
    if facts.orientation_matters:
        why = "flips swap left and right organs, which are different classes"
        if dataset.name is None:
            why = "`dataset.symmetry` is none, so mirror images are of another class"
        found += [
            Problem(("augmentation", name), f"must be 0 for {facts.name}: {why}; write `{name}: 0`")
            for name in ("hflip", "vflip")
            if getattr(augmentation, name) not in ("auto", 0.0)
        ]
    if (images := facts.splits.get("train")) is not None:
        found += _batch_size_conflicts(recipe.training.batch_size, min(images, dataset.limit or images))
    return found


def external_conflicts(recipe: Sections) -> list[Problem]:
    """Those with what there is: does the data set exist, and do the fields fit it?"""
    try:
        facts = facts_of(recipe.dataset)
    except RecipeError as error:
        return list(error.problems)
    return facts_conflicts(recipe, facts)


def _dataset_conflicts(dataset: DatasetSection) -> list[Problem]:
    found = source_conflicts(dataset)
    if not found and dataset.md5 is not None and dataset.archive is None:
        found.append(Problem(("dataset", "md5"), "is given without `archive`: name the file, or remove `md5`"))
    return found


def _model_conflicts(recipe: Sections) -> list[Problem]:
    """A model must have the weights that it is to start from, and be one for images of this size; its own family is
    offered before others."""
    spec, size = models()[recipe.model.name], recipe.dataset.size
    if spec.weights is None and recipe.model.pretrained is True and recipe.training.init_from is None:
        return [
            Problem(
                ("model", "pretrained"),
                f"is not possible: {spec.name} has no published weights; write `false`",
            )
        ]
    if spec.fits(size):
        return []
    bounds = f"up to {spec.largest}" if spec.largest is not None and size > spec.largest else f"from {spec.smallest}"
    others = sorted((other for other in models().values() if other.fits(size)), key=lambda o: o.family != spec.family)
    instead = f": write `name: {others[0].name}`, which is designed for them" if others else ""
    return [Problem(("model", "name"), f"is {spec.name}, which is for images {bounds} px, found {size}{instead}")]


def _batch_size_conflicts(batch_size: int, images: int) -> list[Problem]:
    """A batch must not be larger than the training split."""
    if batch_size <= images:
        return []
    message = f"must be at most the {images} training images, found {batch_size}: write `batch_size: {images}`"
    return [Problem(("training", "batch_size"), message)]


def _training_conflicts(training: TrainingSection) -> list[Problem]:
    found = []
    if training.schedule in ENDING_AT_MIN_LR and training.min_lr >= training.lr:
        found.append(
            Problem(
                ("training", "min_lr"),
                f"must be below lr ({training.lr:g}), found {training.min_lr:g}: write `min_lr: {training.lr / 100:g}`",
            )
        )
    if training.mixup_until is not None and training.mixup_until > training.epochs:
        found.append(
            Problem(
                ("training", "mixup_until"),
                f"must be at most epochs ({training.epochs}), found {training.mixup_until}: "
                f"write `mixup_until: {training.epochs}` or null",
            )
        )
    if training.schedule == "one_cycle" and training.warmup_epochs:
        found.append(
            Problem(
                ("training", "warmup_epochs"),
                "must be 0 with one_cycle, which has its own warm-up: write `warmup_epochs: 0`",
            )
        )
    elif training.warmup_epochs >= training.epochs:
        found.append(
            Problem(
                ("training", "warmup_epochs"),
                f"must be below epochs ({training.epochs}), found {training.warmup_epochs}: "
                f"write `warmup_epochs: {training.epochs // 10}`",
            )
        )
    if training.nesterov and (training.optimizer != "sgd" or training.momentum == 0.0):
        found.append(Problem(("training", "nesterov"), "needs SGD with momentum above 0: write `nesterov: false`"))
    return found


def _strict_conflicts(recipe: Sections) -> list[Problem]:
    if recipe.training.compile and recipe.runtime.reproducible:
        return [Problem(("training", "compile"), "cannot be reproduced bit for bit: write `compile: false`")]
    return []
