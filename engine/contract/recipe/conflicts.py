"""Conflicts between the fields of a recipe, each with what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from engine.contract.data.datasets import DatasetFacts
from engine.contract.models.catalogue import models, spec_of
from engine.contract.models.spec import ModelSpec
from engine.contract.recipe.sections import Sections, TrainingSection
from engine.contract.recipe.sources import DatasetSection, facts_of, source_conflicts
from engine.contract.recipe.steps import SMALLEST_BATCH
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
        + _process_conflicts(recipe)
    )


def facts_conflicts(recipe: Sections, facts: DatasetFacts) -> list[Problem]:
    """What fields say against the data set that they are for, as far as its facts are known."""
    dataset, augmentation, found = recipe.dataset, recipe.augmentation, []
    if dataset.size not in facts.sizes:
        sizes = " or ".join(map(str, facts.sizes))
        found.append(
            Problem.of(("dataset", "size"), Conflicts.SIZE, expected=sizes, dataset=facts.name, found=dataset.size)
        )
    if dataset.archive is not None and not facts.archives:
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
    if facts.task == "multi_label" and recipe.training.sampling != "shuffled":
        found.append(Problem.of(("training", "sampling"), Conflicts.SAMPLING_OF_SETS, dataset=facts.name))
    if (images := facts.splits.get("train")) is not None:
        found += _batch_size_conflicts(recipe.training, min(images, dataset.limit or images))
    return found


def external_conflicts(recipe: Sections) -> list[Problem]:
    """Those with what there is: does the data set exist, and do the fields fit it?"""
    try:
        facts = facts_of(recipe.dataset)
    except RecipeError as error:
        return list(error.problems)
    return facts_conflicts(recipe, facts)


def unknown_set(values: Mapping[str, Any]) -> list[Problem]:
    """Whether a recipe that has no shape yet names a data set that there is not: told with its other problems."""
    section = values.get("dataset")
    name = section.get("name") if isinstance(section, Mapping) else None
    if not isinstance(name, str) or not name:
        return []
    try:
        facts_of(DatasetSection.model_validate({"name": name}))
    except RecipeError as error:
        return list(error.problems)
    except ValidationError:  # no text that can be a name: told by its field
        return []
    return []


def _dataset_conflicts(dataset: DatasetSection) -> list[Problem]:
    found = source_conflicts(dataset)
    if not found and dataset.md5 is not None and dataset.archive is None:
        found.append(Problem.of(("dataset", "md5"), Conflicts.MD5_WITHOUT_ARCHIVE))
    return found


def _model_conflicts(recipe: Sections) -> list[Problem]:
    """A model must have the weights that it is to start from, and be one for images of this size; its own family is
    offered before others."""
    spec, size = spec_of(recipe.model.name), recipe.input_size
    if size < recipe.dataset.size:
        return [Problem.of(("model", "input_size"), Conflicts.INPUT_SIZE, size=recipe.dataset.size, found=size)]
    own = recipe.training.init_from is not None or recipe.model.weights is not None
    if not spec.has_weights and recipe.model.pretrained is True and not own:
        return [Problem.of(("model", "pretrained"), Conflicts.NO_WEIGHTS, model=spec.name)]
    if recipe.training.init_from is not None and recipe.model.weights is not None:
        return [Problem.of(("model", "weights"), Conflicts.TWO_STARTS)]
    if recipe.model.stochastic_depth and spec.stochastic_depth is None:
        return [Problem.of(("model", "stochastic_depth"), Conflicts.NO_BRANCHES, model=spec.name)]
    return _size_conflicts(spec, size) + _freeze_conflicts(recipe, spec, may_start=own)


def _freeze_conflicts(recipe: Sections, spec: ModelSpec, *, may_start: bool) -> list[Problem]:
    """What is frozen must have been trained, and something must be left to train."""
    freeze, path = recipe.training.freeze, ("training", "freeze")
    if freeze is None:
        return []
    if not may_start and (recipe.model.pretrained is False or not spec.has_weights):
        return [Problem.of(path, Conflicts.FREEZE_SCRATCH)]
    stages = len(spec.stages)
    if freeze != "head" and stages and freeze > stages:
        return [Problem.of(path, Conflicts.FREEZE_STAGES, model=spec.name, stages=stages, found=freeze)]
    return []


def _size_conflicts(spec: ModelSpec, size: int) -> list[Problem]:
    if spec.fits(size):
        return []
    bounds = spec.describe_bounds(size)
    others = sorted((other for other in models().values() if other.fits(size)), key=lambda o: o.family != spec.family)
    path, name = ("model", "name"), spec.name
    if not others:
        return [Problem.of(path, Conflicts.MODEL_SIZE, model=name, bounds=bounds, found=size)]
    instead = others[0].name
    return [Problem.of(path, Conflicts.MODEL_SIZE_INSTEAD, model=name, bounds=bounds, found=size, instead=instead)]


def _batch_size_conflicts(training: TrainingSection, images: int) -> list[Problem]:
    """Neither a batch nor the images of one training step may be more than the training split."""
    size, found = SMALLEST_BATCH if training.batch_size == "auto" else training.batch_size, training.accumulate
    if size > images:
        return [Problem.of(("training", "batch_size"), Conflicts.BATCH_SIZE, images=images, found=size)]
    if found > (most := images // size):
        path = ("training", "accumulate")
        return [Problem.of(path, Conflicts.ACCUMULATE, images=images, size=size, most=most, found=found)]
    return []


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
    if training.swa_start is not None:
        found += _swa_conflicts(training)
    if training.sampling == "balanced" and training.class_weights == "balanced":
        found.append(Problem.of(("training", "class_weights"), Conflicts.BALANCED_TWICE))
    if training.nesterov and (training.optimizer != "sgd" or training.momentum == 0.0):
        others = ("optimizer",) if training.optimizer != "sgd" else ("momentum",)
        found.append(
            Problem.of(
                ("training", "nesterov"), Conflicts.NESTEROV, optimizer=training.optimizer, momentum=training.momentum
            ).against(*(("training", name) for name in others))
        )
    return found


def _swa_conflicts(training: TrainingSection) -> list[Problem]:
    path = ("training", "swa_start")
    if training.ema_decay is not None:
        problem = Problem.of(path, Conflicts.SWA_WITH_EMA, decay=training.ema_decay)
        return [problem.against(("training", "ema_decay"))]
    if training.swa_start is not None and training.swa_start > training.epochs:
        return [Problem.of(path, Conflicts.SWA_START, epochs=training.epochs, found=training.swa_start)]
    return []


def _process_conflicts(recipe: Sections) -> list[Problem]:
    """Each process must have two images of a batch, and a device of its own."""
    processes, size, device = recipe.runtime.processes, recipe.training.batch_size, recipe.runtime.device
    path = ("runtime", "processes")
    if processes == 1:
        return []
    if device == "mps" or device.startswith("cuda:"):
        problem = Problem.of(path, Conflicts.PROCESSES_ON_DEVICE, device=device, found=processes)
        return [problem.against(("runtime", "device"))]
    if size != "auto" and processes > (most := size // SMALLEST_BATCH):
        problem = Problem.of(path, Conflicts.PROCESSES_OF_BATCH, size=size, most=most, found=processes)
        return [problem.against(("training", "batch_size"))]
    return []


def _strict_conflicts(recipe: Sections) -> list[Problem]:
    if recipe.training.compile and recipe.runtime.reproducible:
        return [Problem.of(("training", "compile"), Conflicts.COMPILE)]
    return []
