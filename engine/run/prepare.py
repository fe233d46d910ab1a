"""Everything that can refuse a run, in memory, before its directory is made."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine.contract.datasets import SPLITS, DatasetFacts, datasets
from engine.contract.errors import CheckpointError, DataError, MedtuiError, OutputError, WeightsError
from engine.contract.recipe import Recipe
from engine.contract.recipe_conflicts import batch_size_conflicts
from engine.contract.recipe_file import build_recipe, recipe_error
from engine.contract.run_directory import find_run
from engine.data.archive import Wanted
from engine.data.augment import Augmentation, Normalisation
from engine.data.batches import Split, make_split, place_for
from engine.data.cache import Decoded, decode
from engine.device import (
    choose_device,
    choose_precision,
    device_words,
    free_memory,
    free_on_device,
    set_determinism,
    set_threads,
)
from engine.model.build import build_model, load_matching
from engine.model.weights import fetch_imagenet
from engine.randomness import generator, seed_everything
from engine.run.data_jobs import Telling, fetch_if_missing, may_fetch
from engine.run.earlier import Earlier
from engine.run.job import Job
from engine.train.checkpoint import load_weights
from engine.train.loss import balanced_class_weights
from engine.train.step import Precision

REPORT_BYTES = 8_000_000  # journal, tables, workbook, figures


@dataclass(frozen=True)
class Prepared:
    """What a run is made of, every `auto` decided."""

    recipe: Recipe
    facts: DatasetFacts
    data: Decoded
    splits: dict[str, Split]
    labels: dict[str, np.ndarray]  # int64 [N] or [N, K], on the CPU
    statistics: tuple[list[float], list[float]]  # mean and deviation a channel, shares of 255
    normalise: Normalisation
    augmentation: Augmentation
    class_weights: torch.Tensor | None
    device: torch.device
    precision: Precision
    threads: int
    model: nn.Module
    decisions: dict[str, str]  # what `auto` became, in words

    @property
    def limited(self) -> bool:
        return self.recipe.dataset.limit is not None


def check_disk(job: Job, recipe: Recipe, model: nn.Module, earlier: Earlier | None) -> None:
    """Is there room for what the run will write: two whole checkpoints and one being written, two of weights.

    What an earlier attempt has written is there already. Raises OutputError.
    """
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    copies = 2 + (recipe.training.optimizer == "adamw") + (recipe.training.ema_decay is not None)
    need = 3 * copies * weights + 2 * weights + REPORT_BYTES - (earlier.checkpoint_bytes if earlier else 0)
    outputs = job.workspace.make_outputs()
    free = shutil.disk_usage(outputs).free
    if need > free:
        raise OutputError(
            f"A run of this recipe needs about {need // 10**6:,} MB in {outputs}, found {free // 10**6:,} MB free.",
            "Free some, or give a --workspace on another disk.",
        )


def prepare(job: Job, earlier: Earlier | None = None) -> Prepared:
    """Raises RecipeError, DeviceError, DataError or WeightsError; on disk it leaves the cache, and what was fetched.

    A run that goes on has its own recipe, unless the command brings one, and the weights of its checkpoint.
    """
    recipe = earlier.recipe() if earlier and not job.start.recipe else build_recipe(job.start.recipe)
    facts = datasets()[recipe.dataset.name]
    set_determinism(recipe.runtime.reproducible)
    threads = set_threads(recipe.runtime.threads)
    device = choose_device(recipe.runtime.device)
    dtype, amp = choose_precision(recipe.training.amp, device)
    job.control.raise_if_aborted()

    wanted = wanted_archive(recipe, facts, job)
    fetch_if_missing(job, wanted)
    data = decode(wanted, job.data_folders(), job.stream.log)
    job.control.raise_if_aborted()
    labels, splits = _splits(recipe, data, device)
    if conflicts := batch_size_conflicts(recipe.training.batch_size, len(splits["train"])):
        raise recipe_error("recipe", conflicts)
    mean, std = data.statistics()
    weights = None
    if recipe.training.class_weights == "balanced":
        weights = torch.from_numpy(balanced_class_weights(labels["train"], facts.classes)).to(device)
    job.control.raise_if_aborted()

    model, start = _model(recipe, facts, job, earlier)
    check_disk(job, recipe, model, earlier)
    augmentation = augmentation_of(recipe, facts)
    return Prepared(
        recipe=recipe,
        facts=facts,
        data=data,
        splits=splits,
        labels=labels,
        statistics=(mean, std),
        normalise=Normalisation.of(mean, std, device),
        augmentation=augmentation,
        class_weights=weights,
        device=device,
        precision=Precision(device.type, dtype),
        threads=threads,
        model=model.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        decisions={
            "device": device_words(device),
            "amp": amp,
            "weights": start,
            "cache": splits["train"].place,
            "hflip": f"{augmentation.hflip:g}",
            "threads": str(threads),
        },
    )


def wanted_archive(recipe: Recipe, facts: DatasetFacts, job: Job) -> Wanted:
    """The archive of the recipe; its anchors ${workspace} and ${data} are made whole."""
    written = recipe.dataset.archive
    if written is None:
        return Wanted(facts, recipe.dataset.size)
    folders = job.data_folders() if "${data}" in written else [Path()]
    try:
        candidates = [
            Path(written.replace("${data}", str(folder)).replace("${workspace}", str(job.workspace.root))).expanduser()
            for folder in folders
        ]
        path = next((candidate for candidate in candidates if candidate.is_file()), candidates[0])
    except (OSError, RuntimeError) as error:  # too long for a path, nobody's home
        raise DataError(f"dataset.archive cannot be a file: {error}.", "Mend the path.") from None
    return Wanted(facts, recipe.dataset.size, path, recipe.dataset.md5)


def augmentation_of(recipe: Recipe, facts: DatasetFacts) -> Augmentation:
    """The recipe's augmentation with `auto` decided: flips never happen where orientation carries meaning."""
    section = recipe.augmentation
    automatic = 0.0 if facts.orientation_matters else 0.5
    values = section.model_dump()
    values["hflip"] = automatic if section.hflip == "auto" else section.hflip
    return Augmentation(**values)


def _splits(recipe: Recipe, data: Decoded, device: torch.device) -> tuple[dict[str, np.ndarray], dict[str, Split]]:
    labels = {split: data.labels(split) for split in SPLITS}
    held: dict[str, Split] = {}
    for split in SPLITS:
        images = data.images(split, mapped=True)
        rows = limited_rows(len(images), recipe.dataset.limit)
        if rows is not None:
            images, labels[split] = images[rows], labels[split][rows]
        place = place_for(recipe.dataset.cache, images.nbytes, free_memory(), free_on_device(device))
        if place == "ram" and rows is None:
            images = data.images(split, mapped=False)
        held[split] = make_split(images, labels[split], place, device)
    return labels, held


def limited_rows(images: int, limit: int | None) -> np.ndarray | None:
    """Which images of a split a rehearsal uses, in order; None is all. The same for every seed."""
    if limit is None or limit >= images:
        return None
    rows: np.ndarray = np.sort(generator(0, "limit").permutation(images)[:limit])
    return rows


def _model(recipe: Recipe, facts: DatasetFacts, job: Job, earlier: Earlier | None) -> tuple[nn.Module, str]:
    """The model with its starting weights, and in words what they are."""
    seed_everything(recipe.training.seed)
    if earlier and earlier.has_checkpoint:  # its weights come from there
        built = build_model(recipe.model.name, facts.classes, recipe.model.dropout, pretrained=False)
        return built.model, earlier.starting_weights
    word = recipe.training.init_from
    pretrained = recipe.model.pretrained if word is None else False
    fetch = None
    if may_fetch(job):
        fetch = partial(fetch_imagenet, Telling(job, "fetching ImageNet weights"), job.stream.log)
    built = build_model(recipe.model.name, facts.classes, recipe.model.dropout, pretrained, fetch)
    if word is None:
        if recipe.model.pretrained == "auto" and not built.pretrained and recipe.model.name != "mini_cnn":
            job.stream.log(f"Training starts {built.start}.", "warning")
        return built.model, built.start
    try:
        source = find_run(job.workspace.outputs, word)
    except MedtuiError as error:
        raise WeightsError(f"training.init_from: {error.message}", error.hint) from None
    try:
        weights = load_weights(source.best)
    except CheckpointError as error:
        raise WeightsError(f"training.init_from: {error.message}", error.hint) from None
    left = load_matching(built.model, weights, str(source.best))
    return built.model, f"weights of {source.name}" + (f", but for {', '.join(left)}" if left else "")
