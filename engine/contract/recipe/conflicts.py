"""Conflicts between the fields of a recipe, each with what to write instead."""

from __future__ import annotations

from engine.contract.data.datasets import DatasetFacts
from engine.contract.models.catalogue import models
from engine.contract.recipe.sections import Sections, TrainingSection
from engine.contract.recipe.sources import DatasetSection, facts_of, source_conflicts
from engine.contract.sentences import Conflicts
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
        found.append(
            Problem.of(("dataset", "size"), Conflicts.SIZE, expected=sizes, dataset=facts.name, found=dataset.size)
        )
    if dataset.archive is not None and facts.synthetic:
        found.append(Problem.of(("dataset", "archive"), Conflicts.ARCHIVE_OF_GENERATED, dataset=facts.name))
    if facts.orientation_matters:
        why = "flips swap left and right organs, which are different classes"
        if dataset.name is None:
            why = "`dataset.symmetry` is none, so mirror images are of another class"
        found += [
            Problem.of(("augmentation", name), Conflicts.FLIP, dataset=facts.name, reason=why, field=name)
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
        found.append(Problem.of(("dataset", "md5"), Conflicts.MD5_WITHOUT_ARCHIVE))
    return found


def _model_conflicts(recipe: Sections) -> list[Problem]:
    """A model must have the weights that it is to start from, and be one for images of this size; its own family is
    offered before others."""
    spec, size = models()[recipe.model.name], recipe.dataset.size
    if spec.weights is None and recipe.model.pretrained is True and recipe.training.init_from is None:
        return [Problem.of(("model", "pretrained"), Conflicts.NO_WEIGHTS, model=spec.name)]
    if spec.fits(size):
        return []
    bounds = f"up to {spec.largest}" if spec.largest is not None and size > spec.largest else f"from {spec.smallest}"
    others = sorted((other for other in models().values() if other.fits(size)), key=lambda o: o.family != spec.family)
    path, name = ("model", "name"), spec.name
    if not others:
        return [Problem.of(path, Conflicts.MODEL_SIZE, model=name, bounds=bounds, found=size)]
    instead = others[0].name
    return [Problem.of(path, Conflicts.MODEL_SIZE_INSTEAD, model=name, bounds=bounds, found=size, instead=instead)]


def _batch_size_conflicts(batch_size: int, images: int) -> list[Problem]:
    """A batch must not be larger than the training split."""
    if batch_size <= images:
        return []
    return [Problem.of(("training", "batch_size"), Conflicts.BATCH_SIZE, images=images, found=batch_size)]


def _training_conflicts(training: TrainingSection) -> list[Problem]:
    found = []
    if training.schedule in ENDING_AT_MIN_LR and training.min_lr >= training.lr:
        found.append(
            Problem.of(
                ("training", "min_lr"),
                Conflicts.MIN_LR,
                lr=training.lr,
                found=training.min_lr,
                instead=training.lr / 100,
            )
        )
    if training.mixup_until is not None and training.mixup_until > training.epochs:
        until = training.mixup_until
        found.append(
            Problem.of(("training", "mixup_until"), Conflicts.MIXUP_UNTIL, epochs=training.epochs, found=until)
        )
    if training.schedule == "one_cycle" and training.warmup_epochs:
        found.append(Problem.of(("training", "warmup_epochs"), Conflicts.WARMUP_WITH_ONE_CYCLE))
    elif training.warmup_epochs >= training.epochs:
        found.append(
            Problem.of(
                ("training", "warmup_epochs"),
                Conflicts.WARMUP_LENGTH,
                epochs=training.epochs,
                found=training.warmup_epochs,
                instead=training.epochs // 10,
            )
        )
    if training.nesterov and (training.optimizer != "sgd" or training.momentum == 0.0):
        found.append(Problem.of(("training", "nesterov"), Conflicts.NESTEROV))
    return found


def _strict_conflicts(recipe: Sections) -> list[Problem]:
    if recipe.training.compile and recipe.runtime.reproducible:
        return [Problem.of(("training", "compile"), Conflicts.COMPILE)]
    return []
