"""What is known of a run before it starts: data, weights, steps, time, memory, name. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from engine.contract.data.archives import data_folders, offline
from engine.contract.data.datasets import DatasetFacts
from engine.contract.files.paths import is_file
from engine.contract.machine.hardware import cpu_has_bfloat16
from engine.contract.machine.limits import memory
from engine.contract.machine.packages import has_cuda_build
from engine.contract.models.catalogue import spec_of
from engine.contract.recipe.conflicts import facts_conflicts
from engine.contract.recipe.data_source import DataSource, Found, SearchPaths, located
from engine.contract.recipe.identity import run_name
from engine.contract.recipe.memory_estimate import LARGEST_AUTO, largest_batch, run_memory, with_batch_size
from engine.contract.recipe.own_images import last_part
from engine.contract.recipe.reader import recipe_from_values
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sections import TrainingSection
from engine.contract.recipe.sources import data_source, source_values, with_paths
from engine.contract.recipe.steps import steps_per_epoch
from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory, free_run_name, list_runs
from engine.contract.store.status import RunSummary, fold_summary
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from engine.contract.wire.protocol import EpochFinished
from engine.contract.wire.text import format_bytes
from medtui.client.trackers import missing_trackers

RECENT_RUNS = 30  # runs

# Bytes of an engine before it reads anything, and of what a report needs besides, measured as its resident memory
_BASE = 550e6  # interpreter, torch and its kernels, scikit-learn, matplotlib
_CUDA_BASE = 1030e6  # the same with a torch that was built for CUDA, whose libraries are large


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
    trackers: tuple[str, ...] = ()  # sentences about those that are not installed


def preflight(recipe: Recipe, workspace: Workspace, data: Sequence[str], today: date) -> Preflight:
    """Reads files; may take a while, so never on the UI thread."""
    images_from = data_source(recipe.dataset)
    facts = images_from.known_facts(SearchPaths(workspace.root, data_folders(data, workspace.root)))
    data_note, data_ok = data_state(recipe, images_from, workspace, data)
    search_paths = SearchPaths(workspace.root, data_folders(data, workspace.root))
    weights_note, weights_ok = weights_state(recipe, search_paths)
    images = training_images(recipe, facts)
    seconds, source = previous_pace(recipe, workspace)
    name = run_name(recipe, today)
    free = memory()
    training = with_batch_size(recipe.training, _expected_batch(recipe, images, facts, free.available))
    return Preflight(
        data=data_note,
        data_ok=data_ok,
        weights=weights_note,
        weights_ok=weights_ok,
        steps=steps_per_epoch(images, training.images_per_step) * recipe.training.epochs if images else None,
        seconds=seconds,
        seconds_from=source,
        memory_needed=memory_estimate(recipe, training, images or 0, facts),
        memory_free=free.available,
        memory_limit=str(free.limit or ""),
        run=free_run_name(workspace.outputs, name),
        trackers=tuple(missing_trackers(recipe.model_dump())),
    )


def _expected_batch(recipe: Recipe, images: int | None, facts: DatasetFacts, free: int | None) -> int:
    """What `batch_size: auto` will probably be. images: of the training split; None is not known."""
    left = None if free is None else int(free - base_memory() - (images or 0) * recipe.dataset.size**2 * facts.channels)
    return largest_batch(
        recipe, images or LARGEST_AUTO * recipe.training.accumulate, facts, left, mixed=_is_mixed(recipe)
    )


def training_images(recipe: Recipe, facts: DatasetFacts) -> int | None:
    """None where it is not known before the data is read, as for a custom archive."""
    images = facts.splits.get("train")
    return None if images is None else min(images, recipe.dataset.limit or images)


# ---- data -----------------------------------------------------------------------------------------------------------


def data_state(recipe: Recipe, source: DataSource, workspace: Workspace, data: Sequence[str]) -> tuple[str, bool]:
    """The state of its data as text, and whether a run can use it."""
    found = data_found(recipe, source, workspace, data)
    return found.description, found.ok


def data_found(recipe: Recipe, source: DataSource, workspace: Workspace, data: Sequence[str]) -> Found:
    """The same as a value, which tells what is fetched first."""
    for problem in facts_conflicts(recipe, source.facts):
        return Found(f"{'.'.join(problem.path)} {problem.message}", ok=False)
    return source.status(SearchPaths(workspace.root, data_folders(data, workspace.root)))


# ---- weights ---------------------------------------------------------------------------------------------------------


def weights_state(recipe: Recipe, search_paths: SearchPaths | None = None) -> tuple[str, bool]:
    """What it will start from, and whether it can."""
    if recipe.training.init_from is not None:
        return f"from run {recipe.training.init_from}", True
    if recipe.model.weights is not None:
        path = located(recipe.model.weights, search_paths or SearchPaths(Path(), []), is_file)
        return (f"{path.name} found", True) if is_file(path) else (f"{path} missing: correct model.weights", False)
    spec = spec_of(recipe.model.name)
    weights = spec.weights
    if recipe.model.pretrained is False or not spec.has_weights:
        return "from scratch", True
    if weights is None:
        return f"{spec.title}'s, which timm finds or fetches", True
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
    """Seconds of a whole run at the pace of one with like epochs, and its name.

    Its epochs with all that lay between them, as many as are planned, and what came after the last of them. The newest
    that wrote its report; where there is none, the newest of the others, and after its epochs what comes after those
    of any run.
    """
    return Paces(workspace, type(recipe)).of(recipe)


class Paces:
    """How fast the newest runs of a workspace were, each read once."""

    def __init__(self, workspace: Workspace, model: type[Recipe] = Recipe) -> None:
        self._runs = list_runs(workspace.outputs)[-RECENT_RUNS:]
        self._recipes = [_recipe_of(run, model) for run in self._runs]
        self._worked: dict[str, _Worked | None] = {}

    def of(self, recipe: Recipe) -> tuple[float | None, str]:
        """As `previous_pace`."""
        found: tuple[float | None, str] = None, ""
        for run, before in reversed(list(zip(self._runs, self._recipes, strict=True))):
            if before is None or not _alike(before, recipe):
                continue
            worked = self._work_of(run)
            if worked is None or not worked.epochs:
                continue
            seconds = worked.trained / worked.epochs * recipe.training.epochs
            if worked.report is not None:
                return seconds + worked.report, run.name
            if found[0] is None:
                found = seconds + self._any_report(), run.name
        return found

    def _any_report(self) -> float:
        """Seconds after the epochs of the newest run that wrote its report, whatever it trained."""
        worked = (self._work_of(run) for run in reversed(self._runs))
        return next((one.report for one in worked if one is not None and one.report is not None), 0.0)

    def _work_of(self, run: RunDirectory) -> _Worked | None:
        if run.name not in self._worked:
            try:
                self._worked[run.name] = _worked(run)
            except OSError:
                self._worked[run.name] = None
        return self._worked[run.name]


@dataclass(frozen=True)
class _Worked:
    """What a run has done so far."""

    epochs: int
    trained: float  # seconds of work up to the end of the last of them
    report: float | None  # seconds after it; None of a run that lives, or ended without its report


def _worked(run: RunDirectory) -> _Worked:
    """Raises OSError."""
    summary, trained = RunSummary(), 0.0
    for event in read_journal(run.journal):
        summary = fold_summary(summary, event)
        if isinstance(event, EpochFinished):
            trained = summary.worked or 0.0
    has_report = summary.outcome in ("completed", "stopped")
    return _Worked(summary.epochs_done, trained, max(0.0, (summary.worked or 0.0) - trained) if has_report else None)


def _recipe_of(run: RunDirectory, model: type[Recipe]) -> Recipe | None:
    try:
        return recipe_from_values(read_yaml_file(run.recipe).values, model)
    except MedtuiError:
        return None


def _alike(before: Recipe, now: Recipe) -> bool:
    """Does an epoch of both take as long? Images, net, batches and machine decide that."""

    def decisive(recipe: Recipe) -> tuple[object, ...]:
        data, training, runtime = recipe.dataset, recipe.training, recipe.runtime
        named = with_paths(data, lambda path: last_part(path) or path)  # a run records where its images lie
        images = (source_values(named), data.size, data.limit)
        model = (recipe.model.name, recipe.input_size, training.freeze)
        steps = (training.batch_size, training.accumulate, training.swa_start)
        return (*images, *model, *steps, training.amp, runtime.device, runtime.threads, runtime.processes)

    return decisive(before) == decisive(now)


def base_memory() -> float:
    return _CUDA_BASE if has_cuda_build() else _BASE


def _is_mixed(recipe: Recipe) -> bool:
    """Will it probably be trained in mixed precision? On a GPU it is; what is free there is not known here."""
    return recipe.training.amp is not False and (recipe.runtime.device.startswith("cuda") or cpu_has_bfloat16())


def memory_estimate(recipe: Recipe, training: TrainingSection, images: int, facts: DatasetFacts) -> float:
    """Bytes, about: each process itself, the weights' copies, one batch's activations, the images."""
    needed, processes = run_memory(recipe, training, images, facts, mixed=_is_mixed(recipe)), recipe.runtime.processes
    return processes * (base_memory() + needed.weights) + needed.batch + needed.images
