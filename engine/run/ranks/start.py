"""What one of the other processes of a run is told when it starts, and what is decided before it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from engine.contract.data.datasets import SPLITS
from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.wire.jobs import Train
from engine.contract.wire.resolved import Resolved
from engine.run.job import Job
from engine.run.prepare import (
    Prepared,
    augmentation_of,
    class_weights_of,
    load_data,
    model_for,
    open_data,
    set_up,
    untrained_model,
)

DISCONNECTED = 3  # exit code of a process that ended because another one had


def ready_key(rank: int) -> str:
    """In the store, once that process is prepared."""
    return f"ready/{rank}"


class Start(BaseModel):
    """For all of them the same, in the store under `START`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    processes: int
    one_machine: bool
    workspace: Path
    command: Train  # of the first process: where its data are
    last_folders: tuple[Path, ...]
    recipe: dict[str, Any]
    resolved: Resolved


START = "start"


def start_of(job: Job, prepared: Prepared, *, one_machine: bool) -> Start:
    """The averages of the weights are the first process's alone; on the CPU the images are in the memory once."""
    recipe = prepared.recipe
    training = recipe.training.model_copy(update={"ema_decay": None, "swa_start": None})
    runtime = recipe.runtime.model_copy(update={"threads": prepared.threads})
    mapped = {} if prepared.device.type == "cuda" else {"cache": "mapped"}
    dataset = recipe.dataset.model_copy(update=mapped)
    own = recipe.model_copy(update={"training": training, "runtime": runtime, "dataset": dataset})
    assert isinstance(job.start, Train)
    return Start(
        processes=recipe.runtime.processes,
        one_machine=one_machine,
        workspace=job.workspace.root,
        command=job.start,
        last_folders=job.last_folders,
        recipe=own.model_dump(mode="json"),
        resolved=prepared.resolved,
    )


def prepared_as(job: Job, start: Start, gpu: int) -> Prepared:
    """What the first process has prepared, but for the weights, which it sends. Raises MedtuiError."""
    recipe: Recipe = build_recipe(start.recipe)
    setup = set_up(job, recipe)
    if setup.device.type == "cuda":
        setup = replace(setup, device=torch.device("cuda", gpu))
        torch.cuda.set_device(setup.device)
    loaded = load_data(job, open_data(job, setup), SPLITS, batch_size=start.resolved.batch_size)
    return Prepared(
        **vars(model_for(loaded, untrained_model(loaded))),
        augmentation=augmentation_of(recipe, loaded.facts, loaded.statistics),
        class_weights=class_weights_of(loaded),
        resolved=start.resolved,
        source=None,
    )
