"""Everything that can refuse a job, in memory, before anything is written, in stages: a job runs those that it needs.

`set_up` → `load_data` → a model → `plan_training`; each returns what the one before did, and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from engine.contract.data.datasets import SPLITS, DatasetFacts
from engine.contract.data.views import view_names
from engine.contract.machine.hardware import refuse_impossible
from engine.contract.models.catalogue import models
from engine.contract.recipe.conflicts import facts_conflicts
from engine.contract.recipe.reader import recipe_error
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sources import data_source, facts_of
from engine.contract.wire.monitor import BEST_BY
from engine.contract.wire.resolved import Resolved, StartingWeights, describe_decisions
from engine.data.augment import Augmentation
from engine.data.batches import Split, load_splits
from engine.data.cache import Decoded
from engine.device import (
    choose_device,
    choose_precision,
    free_memory,
    free_on_device,
    resolved_machine,
    set_determinism,
    set_threads,
)
from engine.model.build import Built, Statistics, build, load_matching, start_from_published
from engine.model.normalisation import Normalisation
from engine.model.plan import ModelPlan
from engine.model.weights import fetch_published
from engine.randomness import seed_everything
from engine.run.data_jobs import FetchProgress, decoded_data, may_fetch
from engine.run.disk import check_disk
from engine.run.init_from import Source, find_source, load_source, source_of
from engine.run.job import Job
from engine.run.resumed import ResumedRun
from engine.sentences import Decisions
from engine.train.loss import balanced_class_weights
from engine.train.step import Precision


@dataclass(frozen=True)
class Setup:
    """What is known before any data are read: the recipe, and what the machine provides for it."""

    recipe: Recipe
    facts: DatasetFacts
    device: torch.device
    precision: Precision
    threads: int


@dataclass(frozen=True)
class LoadedData(Setup):
    """The splits that a job needs, where they stay while it works."""

    data: Decoded
    splits: dict[str, Split]
    labels: dict[str, np.ndarray]  # int64 [N] or [N, K], on the CPU
    statistics: Statistics  # of the training images

    @property
    def limited(self) -> bool:
        """Has a split fewer images than the data set, by `dataset.limit`?"""
        return any(len(held) < self.data.length(split) for split, held in self.splits.items())


@dataclass(frozen=True)
class WithModel(LoadedData):
    """All that scores need, once the model's weights are loaded."""

    built: Built

    @property
    def model(self) -> nn.Module:
        return self.built.module

    @property
    def normalise(self) -> Normalisation:
        return self.built.normalisation


@dataclass(frozen=True)
class Prepared(WithModel):
    """What a training run is made of, every `auto` decided."""

    augmentation: Augmentation
    class_weights: torch.Tensor | None
    resolved: Resolved
    source: Source | None  # the run whose best weights it started from

    @property
    def decisions(self) -> dict[str, str]:
        """What `auto` became, in words."""
        return describe_decisions(self.resolved, mixed=self.recipe.training.amp is not False)


@dataclass(frozen=True)
class Start:
    """A model with the weights that training starts from."""

    built: Built
    weights: StartingWeights | None  # None: unknown, of a resumed run whose manifest lacks them
    source: Source | None


def prepare(job: Job, recipe: Recipe, resumed: ResumedRun | None = None) -> Prepared:
    """All stages, for a job that trains.

    Raises RecipeError, DeviceError, DataError, WeightsError or OutputError; on disk it leaves the cache, and what was
    fetched. A resumed run has the weights of its checkpoint.
    """
    if resumed:
        job = replace(job, last_folders=resumed.data_folders)
    setup = set_up(job, recipe, resumed.threads if resumed else None)
    loaded = load_data(job, setup, SPLITS)
    start = starting_model(job, loaded, resumed)
    return plan_training(job, loaded, start, resumed)


def set_up(job: Job, recipe: Recipe, threads: int | None = None) -> Setup:
    """Device, precision and threads of a recipe; `threads`: where it names none. Raises DeviceError."""
    refuse_impossible(recipe)
    set_determinism(recipe.runtime.reproducible)
    threads = set_threads(recipe.runtime.threads or threads)
    device = choose_device(recipe.runtime.device)
    precision = Precision(device.type, choose_precision(recipe.training.amp, device))
    job.control.raise_if_aborted()
    return Setup(recipe, facts_of(recipe.dataset), device, precision, threads)


def load_data(job: Job, setup: Setup, splits: Sequence[str], statistics: Statistics | None = None) -> LoadedData:
    """Fetched and decoded where they are missing. `statistics`: of the training images, where they are known.

    Raises DataError, or RecipeError for too large a batch.
    """
    recipe, device = setup.recipe, setup.device
    data = decoded_data(job, data_source(recipe.dataset))
    setup = replace(setup, facts=data.facts)  # of a user's own images they are known now
    job.control.raise_if_aborted()
    lengths = {split: data.length(split) for split in splits}
    statistics = statistics or data.statistics()
    loaded, labels = load_splits(data, splits, recipe.dataset, device, lambda: (free_memory(), free_on_device(device)))
    if "train" in splits and (found := facts_conflicts(recipe, replace(setup.facts, splits=lengths))):
        raise recipe_error("recipe", found)
    job.control.raise_if_aborted()
    return LoadedData(**vars(setup), data=data, splits=loaded, labels=labels, statistics=statistics)


def model_for(loaded: LoadedData, built: Built) -> WithModel:
    """The model on the device, in the layout that is fastest there."""
    built.module.to(loaded.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    built.normalisation.to(loaded.device)
    return WithModel(**vars(loaded), built=built)


def plan_training(job: Job, loaded: LoadedData, start: Start, resumed: ResumedRun | None) -> Prepared:
    """What only training needs, and whether there is space for what it writes. Raises OutputError."""
    recipe, facts = loaded.recipe, loaded.facts
    weights = None
    if recipe.training.class_weights == "balanced":
        weights = torch.from_numpy(balanced_class_weights(loaded.labels["train"], facts.classes)).to(loaded.device)
    job.control.raise_if_aborted()
    check_disk(job, recipe, start.built.module, resumed)
    augmentation = augmentation_of(recipe, facts)
    return Prepared(
        **vars(model_for(loaded, start.built)),
        augmentation=augmentation,
        class_weights=weights,
        resolved=resolved_values(loaded, augmentation, start.weights, resumed),
        source=start.source,
    )


def resolved_values(
    loaded: LoadedData, augmentation: Augmentation, weights: StartingWeights | None, resumed: ResumedRun | None
) -> Resolved:
    """What every `auto` of a training run became. A resumed run chooses its best epoch as it began to."""
    best_by = BEST_BY[loaded.recipe.training.monitor]
    machine = resolved_machine(loaded.device, loaded.precision.dtype, loaded.threads)
    return machine.model_copy(
        update={
            "data": loaded.data.edition,
            "weights": weights,
            "hflip": augmentation.hflip,
            "views": view_names(loaded.facts.symmetry, loaded.recipe.evaluation.tta),
            "best_by": resumed.resolved.best_by if resumed and resumed.has_checkpoint else best_by,
            "storage": loaded.splits["train"].storage,
        }
    )


def augmentation_of(recipe: Recipe, facts: DatasetFacts) -> Augmentation:
    """The recipe's augmentation with `auto` decided: flips never happen where orientation carries meaning."""
    section = recipe.augmentation
    automatic = 0.0 if facts.orientation_matters else 0.5
    values = section.model_dump()
    values["hflip"] = automatic if section.hflip == "auto" else section.hflip
    return Augmentation(**values)


def untrained_model(loaded: LoadedData) -> Built:
    """With newly initialised weights, for those that come from elsewhere."""
    model = loaded.recipe.model
    plan = ModelPlan(loaded.facts.classes, loaded.recipe.dataset.size, model.dropout)
    return build(models()[model.name], plan, loaded.statistics)


def starting_model(job: Job, loaded: LoadedData, resumed: ResumedRun | None = None) -> Start:
    """The model with the weights that training starts from. Raises WeightsError."""
    recipe = loaded.recipe
    seed_everything(recipe.training.seed)
    built = untrained_model(loaded)
    recorded = source_of(resumed.manifest) if resumed else None
    if resumed and resumed.has_checkpoint:  # its weights come from there
        return Start(built, resumed.resolved.weights, recorded)
    word, published = recipe.training.init_from, built.spec.weights
    if word is not None:
        run = find_source(word, job.find_run, resumed, recorded)
        weights, source = load_source(run, job.control.raise_if_aborted)
        left = load_matching(built, weights, str(run.best))
        return Start(built, StartingWeights(kind="run", id=run.name, digest=source.digest, left=tuple(left)), source)
    fetch = None
    if published is not None and may_fetch(job):
        progress = FetchProgress(job, f"fetching {published.trained_on} weights")
        fetch = partial(fetch_published, published, progress, job.stream.log)
    start = start_from_published(built, recipe.model.pretrained, fetch)
    if recipe.model.pretrained == "auto" and start.kind == "scratch" and published is not None:
        job.stream.note(Decisions.FROM_SCRATCH, "warning", weights=start.description)
    return Start(built, start, None)
