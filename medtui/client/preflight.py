"""What is known of a run before it starts: data, weights, steps, time, memory, name. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from engine.contract.data.archives import data_folders, format_bytes, offline
from engine.contract.data.datasets import DatasetFacts
from engine.contract.files.paths import is_file
from engine.contract.machine.limits import memory
from engine.contract.models.catalogue import models
from engine.contract.recipe.conflicts import facts_conflicts
from engine.contract.recipe.data_source import DataSource, SearchPaths
from engine.contract.recipe.identity import run_name
from engine.contract.recipe.reader import recipe_from_values
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sources import data_source, source_values
from engine.contract.recipe.steps import steps_per_epoch
from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory, free_run_name, list_runs
from engine.contract.store.status import RunSummary, fold_summary
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from engine.contract.wire.protocol import EpochFinished

RECENT_RUNS = 30  # runs

# Rough sizes for the estimate, measured as the engine's resident memory on a CPU.
_BASE = 420e6  # bytes: interpreter, torch, its kernels
_COPIES = 4  # weights, gradients, momentum, one more while saving


@dataclass(frozen=True)
class Preflight:
    """Each a sentence or a number; None is unknown."""

    data: str
    data_ok: bool
    weights: str
    weights_ok: bool
    steps: int | None
    seconds: float | None  # from an earlier run whose epochs are like these
    seconds_from: str  # which run
    memory_needed: float  # bytes, about
    memory_free: int | None  # bytes
    memory_limit: str  # the limit in effect, if not the machine's memory
    run: str


def preflight(recipe: Recipe, workspace: Workspace, data: Sequence[str], today: date) -> Preflight:
    """Reads files; may take a while, so never on the UI thread."""
    images_from = data_source(recipe.dataset)
    facts = images_from.known_facts(SearchPaths(workspace.root, data_folders(data, workspace.root)))
    data_note, data_ok = data_state(recipe, images_from, workspace, data)
    weights_note, weights_ok = weights_state(recipe)
    images = training_images(recipe, facts)
    seconds, source = previous_pace(recipe, workspace)
    name = run_name(recipe, today)
    free = memory()
    return Preflight(
        data=data_note,
        data_ok=data_ok,
        weights=weights_note,
        weights_ok=weights_ok,
        steps=steps_per_epoch(images, recipe.training.batch_size) * recipe.training.epochs if images else None,
        seconds=seconds,
        seconds_from=source,
        memory_needed=memory_estimate(recipe, images or 0, facts),
        memory_free=free.available,
        memory_limit=str(free.limit or ""),
        run=free_run_name(workspace.outputs, name),
    )


def training_images(recipe: Recipe, facts: DatasetFacts) -> int | None:
    """None where it is not known before the data is read, as for a custom archive."""
    images = facts.splits.get("train")
    return None if images is None else min(images, recipe.dataset.limit or images)


# ---- data -----------------------------------------------------------------------------------------------------------


def data_state(recipe: Recipe, source: DataSource, workspace: Workspace, data: Sequence[str]) -> tuple[str, bool]:
    """The state of its data as text, and whether a run can use it."""
    for problem in facts_conflicts(recipe, source.facts):
        return f"{'.'.join(problem.path)} {problem.message}", False
    found = source.status(SearchPaths(workspace.root, data_folders(data, workspace.root)))
    return found.description, found.ok


# ---- weights ---------------------------------------------------------------------------------------------------------


def weights_state(recipe: Recipe) -> tuple[str, bool]:
    if recipe.training.init_from is not None:
        return f"from run {recipe.training.init_from}", True
    weights = models()[recipe.model.name].weights
    if recipe.model.pretrained is False or weights is None:
        return "from scratch", True
    file = f"{weights.trained_on} file"
    if is_file(weights.path):
        return f"{file} found", True
    if not offline():
        return f"{file} missing: it will be fetched first ({format_bytes(weights.bytes)})", True
    if recipe.model.pretrained == "auto":
        return f"{file} missing → scratch (auto)", True
    return f"{file} missing: put it at {weights.path}, or set model.pretrained=false", False


# ---- time and memory -------------------------------------------------------------------------------------------------


def previous_pace(recipe: Recipe, workspace: Workspace) -> tuple[float | None, str]:
    """Seconds of a whole run at the pace of the newest one with like epochs, and its name.

    Its epochs with all that lay between them, as many as are planned, and what came after the last of them.
    """
    for run in reversed(list_runs(workspace.outputs)[-RECENT_RUNS:]):
        before = _recipe_of(run, type(recipe))
        if before is None or not _alike(before, recipe):
            continue
        try:
            done, trained, worked = _worked(run)
        except OSError:
            continue
        if done:
            return trained / done * recipe.training.epochs + worked - trained, run.name
    return None, ""


def _worked(run: RunDirectory) -> tuple[int, float, float]:
    """Epochs that were done, and seconds of work up to the end of the last, and in all. Raises OSError."""
    summary, trained = RunSummary(), 0.0
    for event in read_journal(run.journal):
        summary = fold_summary(summary, event)
        if isinstance(event, EpochFinished):
            trained = summary.worked or 0.0
    return summary.epochs_done, trained, max(trained, summary.worked or 0.0)


def _recipe_of(run: RunDirectory, model: type[Recipe]) -> Recipe | None:
    try:
        return recipe_from_values(read_yaml_file(run.recipe).values, model)
    except MedtuiError:
        return None


def _alike(before: Recipe, now: Recipe) -> bool:
    """Does an epoch of both take as long? Images, net, batches and machine decide that."""

    def decisive(recipe: Recipe) -> tuple[object, ...]:
        data, training, runtime = recipe.dataset, recipe.training, recipe.runtime
        images = (source_values(data), data.size, data.limit)
        return (*images, recipe.model.name, training.batch_size, training.amp, runtime.device, runtime.threads)

    return decisive(before) == decisive(now)


def memory_estimate(recipe: Recipe, images: int, facts: DatasetFacts) -> float:
    """Bytes, about: the base, the weights' copies, one batch's activations, the images."""
    area = (recipe.dataset.size / 28) ** 2
    spec = models()[recipe.model.name]
    activations = spec.activations * area * recipe.training.batch_size
    weights = spec.parameters * 4 * _COPIES
    pixels = images * recipe.dataset.size**2 * facts.channels
    return _BASE + weights + activations + pixels
