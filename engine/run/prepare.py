"""Everything that can refuse a job, in memory, before anything is written, in stages: a job runs those that it needs.

`set_up` → `open_data` → `load_data` → a model → `plan_training`; each returns what the one before did, and more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from engine.contract.data.datasets import SPLITS, DatasetFacts
from engine.contract.data.views import view_names
from engine.contract.files.paths import is_file
from engine.contract.machine.hardware import refuse_impossible
from engine.contract.machine.limits import gigabytes, memory
from engine.contract.models.catalogue import spec_of
from engine.contract.recipe.conflicts import facts_conflicts
from engine.contract.recipe.data_source import located
from engine.contract.recipe.memory_estimate import largest_batch, run_memory, with_batch_size
from engine.contract.recipe.reader import recipe_error
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sections import TrainingSection
from engine.contract.recipe.sources import data_source, facts_of
from engine.contract.recipe.steps import SMALLEST_BATCH
from engine.contract.store.status import RunSummary
from engine.contract.wire.errors import WeightsError
from engine.contract.wire.monitor import BEST_BY
from engine.contract.wire.protocol import Progress
from engine.contract.wire.resolved import Resolved, StartingWeights, describe_decisions
from engine.data.augment import Augmentation
from engine.data.batches import Split, load_splits
from engine.data.cache import Decoded
from engine.data.sampling import Sampling
from engine.device import (
    choose_device,
    choose_precision,
    free_memory,
    free_on_device,
    resolved_machine,
    seed_everything,
    set_determinism,
    set_threads,
)
from engine.model.build import (
    ALL_STAGES,
    Built,
    GroupRules,
    Normalisation,
    Statistics,
    build,
    load_matching,
    start_from_file,
    start_from_published,
)
from engine.model.plan import ModelPlan
from engine.model.weights import fetch_published
from engine.run.data_jobs import FetchProgress, access_of, decoded_data, may_fetch
from engine.run.disk import check_disk
from engine.run.init_from import Source, find_source, load_source, source_of
from engine.run.job import Job
from engine.run.ranks.address import address_elsewhere
from engine.run.resumed import ResumedRun
from engine.sentences import Decisions, ModelWeights
from engine.train.loss import balanced_class_weights
from engine.train.mixup import MixUp
from engine.train.step import Precision

for model in (RunSummary, Progress, StartingWeights, Resolved):
    model.model_rebuild()  # with the imports, which an engine may do before it is asked; else within the start of a run
WITHOUT_TEST = tuple(split for split in SPLITS if split != "test")


@dataclass(frozen=True)
class Setup:
    """What is known before any data are read: the recipe, and what the machine provides for it."""

    recipe: Recipe
    facts: DatasetFacts
    device: torch.device
    precision: Precision
    threads: int


@dataclass(frozen=True)
class OpenedData(Setup):
    """The decoded files, of which nothing is in the memory yet."""

    data: Decoded

    def images(self, split: str) -> int:
        """Of a split, as many as are used."""
        return min(self.data.length(split), self.recipe.dataset.limit or sys.maxsize)


@dataclass(frozen=True)
class LoadedData(OpenedData):
    """The splits that a job needs, where they stay while it works."""

    splits: dict[str, Split]
    labels: dict[str, np.ndarray]  # int64 [N] or [N, K], on the CPU
    statistics: Statistics  # of the training images
    lengths: dict[str, int]  # of these splits in the data set; asked once, as the cache may be removed meanwhile

    @property
    def limited(self) -> bool:
        """Has a split fewer images than the data set, by `dataset.limit`?"""
        return any(len(held) < self.lengths[split] for split, held in self.splits.items())


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
    def training(self) -> TrainingSection:
        """The recipe's, with the batch size a number."""
        return with_batch_size(self.recipe.training, self.resolved.batch_size or SMALLEST_BATCH)

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
    processes = recipe.runtime.processes if address_elsewhere() is None else 1  # on this machine
    opened = open_data(job, set_up(job, recipe, resumed.threads if resumed else None, processes))
    batch_size = decided_batch(job, opened, resumed) if recipe.training.batch_size == "auto" else None
    loaded = load_data(job, opened, SPLITS if recipe.evaluation.test else WITHOUT_TEST, batch_size=batch_size)
    start = starting_model(job, loaded, resumed)
    return plan_training(job, loaded, start, resumed, batch_size)


def set_up(job: Job, recipe: Recipe, threads: int | None = None, processes: int = 1) -> Setup:
    """Device, precision and threads of a recipe; `threads`: where it names none; `processes`: that divide the machine.

    Raises DeviceError.
    """
    refuse_impossible(recipe)
    set_determinism(recipe.runtime.reproducible)
    threads = set_threads(recipe.runtime.threads or threads, processes)
    device = choose_device(recipe.runtime.device, processes)
    precision = Precision(device.type, choose_precision(recipe.training.amp, device))
    job.control.raise_if_aborted()
    return Setup(recipe, facts_of(recipe.dataset), device, precision, threads)


def open_data(job: Job, setup: Setup) -> OpenedData:
    """Fetched and decoded where they are missing. Raises DataError."""
    data = decoded_data(job, data_source(setup.recipe.dataset))
    job.control.raise_if_aborted()
    setup = replace(setup, facts=data.facts)  # of a user's own images they are known now
    return OpenedData(**vars(setup), data=data)


def load_data(
    job: Job,
    opened: OpenedData,
    splits: Sequence[str],
    statistics: Statistics | None = None,
    batch_size: int | None = None,
) -> LoadedData:
    """The splits, where there is room beside the model. `statistics`: of the training images, where they are known.

    `batch_size`: what `auto` is, in a job that trains. Raises DataError, or RecipeError for too large a batch.
    """
    recipe, device, data = opened.recipe, opened.device, opened.data
    lengths = {split: data.length(split) for split in splits}
    statistics = statistics or data.statistics()
    model = memory_without_images(opened, batch_size or SMALLEST_BATCH)
    loaded, labels = load_splits(data, splits, recipe.dataset, device, (free_memory(), free_on_device(device)), model)
    if "train" in splits and (found := facts_conflicts(recipe, replace(opened.facts, splits=lengths))):
        # only counting the images told it, and a run of them may have no recipe file: the advice is one for both
        raise recipe_error("recipe", [problem.typed for problem in found])
    job.control.raise_if_aborted()
    return LoadedData(**vars(opened), splits=loaded, labels=labels, statistics=statistics, lengths=lengths)


def memory_without_images(opened: OpenedData, batch_size: int) -> int:
    """Bytes that training is going to take; `batch_size`: what `auto` is.

    The images are not counted, so that no split is opened for it: evaluating a run must not need those it trained on.
    """
    recipe, mixed = opened.recipe, opened.precision.dtype is not None
    training = with_batch_size(recipe.training, batch_size)
    return int(run_memory(recipe, training, 0, opened.facts, mixed=mixed).training)


def model_for(loaded: LoadedData, built: Built) -> WithModel:
    """The model on the device, in the layout that is fastest there."""
    built.module.to(loaded.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    built.normalisation.to(loaded.device)
    return WithModel(**vars(loaded), built=built)


def plan_training(
    job: Job, loaded: LoadedData, start: Start, resumed: ResumedRun | None, batch_size: int | None
) -> Prepared:
    """What only training needs, and whether there is space for what it writes. `batch_size`: what `auto` is.

    Raises OutputError.
    """
    recipe, facts = loaded.recipe, loaded.facts
    weights = class_weights_of(loaded)
    job.control.raise_if_aborted()
    check_disk(job, recipe, start.built.module, resumed)
    augmentation = augmentation_of(recipe, facts, loaded.statistics)
    return Prepared(
        **vars(model_for(loaded, start.built)),
        augmentation=augmentation,
        class_weights=weights,
        resolved=resolved_values(loaded, augmentation, start.weights, resumed).model_copy(
            update={"batch_size": batch_size}
        ),
        source=start.source,
    )


def class_weights_of(loaded: LoadedData) -> torch.Tensor | None:
    if loaded.recipe.training.class_weights != "balanced":
        return None
    weights = balanced_class_weights(loaded.labels["train"], loaded.facts.classes)
    return torch.from_numpy(weights).to(loaded.device)


def decided_batch(job: Job, opened: OpenedData, resumed: ResumedRun | None) -> int:
    """What `batch_size: auto` is. A resumed run goes on with what it began with, whatever is free now.

    It is decided before the images are loaded, as it changes results, and where they are does not.
    """
    recipe, images = opened.recipe, opened.images("train")
    began = resumed.resolved.batch_size if resumed else None
    if began is not None and began * recipe.training.accumulate <= images:
        return began
    on_device = free_on_device(opened.device)
    free = memory().available if on_device is None else on_device
    size = largest_batch(recipe, images, opened.facts, free, mixed=opened.precision.dtype is not None)
    needed = memory_without_images(opened, size)
    shown = "an unknown amount" if free is None else gigabytes(free)
    job.stream.note(Decisions.BATCH_SIZE, size=size, needed=gigabytes(needed), free=shown)
    return size


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


def augmentation_of(recipe: Recipe, facts: DatasetFacts, statistics: Statistics) -> Augmentation:
    """The recipe's augmentation with `auto` decided: flips never happen where orientation carries meaning.

    statistics: of the training images, whose mean is what erased pixels become: 0 once normalised.
    """
    section = recipe.augmentation
    automatic = 0.0 if facts.orientation_matters else 0.5
    values = section.model_dump()
    values["hflip"] = automatic if section.hflip == "auto" else section.hflip
    return Augmentation(**values, fill=tuple(statistics[0]))


def sampling_of(training: TrainingSection) -> Sampling:
    return Sampling(training.sampling, training.sampling_power)


def mixing_of(training: TrainingSection) -> MixUp:
    return MixUp(training.mixup_alpha, training.mixup_until, training.cutmix_alpha)


def untrained_model(loaded: LoadedData) -> Built:
    """With newly initialised weights, for those that come from elsewhere."""
    recipe = loaded.recipe
    model = recipe.model
    plan = ModelPlan(
        loaded.facts.classes,
        recipe.input_size,
        model.dropout,
        recipe.enlarged_to,
        stochastic_depth=model.stochastic_depth,
    )
    return build(spec_of(recipe.model.name), plan, loaded.statistics, group_rules(recipe))


def group_rules(recipe: Recipe) -> GroupRules:
    training = recipe.training
    return GroupRules(
        freeze=ALL_STAGES if training.freeze == "head" else training.freeze or 0,
        layer_decay=training.layer_decay,
        head_rate=training.head_lr,
        decays_norms=training.decay_norms,
    )


def starting_model(job: Job, loaded: LoadedData, resumed: ResumedRun | None = None) -> Start:
    """The model with the weights that training starts from. Raises WeightsError."""
    recipe = loaded.recipe
    seed_everything(recipe.training.seed)
    built = untrained_model(loaded)
    recorded = source_of(resumed.manifest) if resumed else None
    if resumed and resumed.has_checkpoint:  # its weights come from there
        return Start(built, resumed.resolved.weights, recorded)
    word = recipe.training.init_from
    if word is not None:
        run = find_source(word, job.find_run, resumed, recorded)
        weights, source = load_source(run, job.control.raise_if_aborted)
        left = load_matching(built, weights, str(run.best))
        return Start(built, StartingWeights(kind="run", id=run.name, digest=source.digest, left=tuple(left)), source)
    if recipe.model.weights is not None:
        start = start_from_file(built, located(recipe.model.weights, access_of(job).search_paths, is_file))
        level = "warning" if set(start.left) - set(built.spec.classifier) or start.unused else "info"
        job.stream.note(Decisions.FROM_FILE, level, weights=start.description)
        return Start(built, start, None)
    return Start(built, _published_start(job, recipe, built), None)


def _published_start(job: Job, recipe: Recipe, built: Built) -> StartingWeights:
    """Raises WeightsError."""
    published = built.spec.weights
    fetch: Callable[[], None] | None = None
    if may_fetch(job):
        progress = FetchProgress(job, "fetching ImageNet weights")
        fetch = _left_to_timm
        if published is not None:
            fetch = partial(fetch_published, published, progress, job.stream.log)
    start = start_from_published(built, recipe.model.pretrained, fetch)
    if start.kind == "scratch" and recipe.training.freeze is not None:
        raise WeightsError(ModelWeights.FROZEN_SCRATCH, weights=start.description)
    if recipe.model.pretrained == "auto" and start.kind == "scratch" and built.spec.has_weights:
        job.stream.note(Decisions.FROM_SCRATCH, "warning", weights=start.description)
    return start


def _left_to_timm() -> None:
    """timm fetches its own weights."""
