"""What can be said of a run before it starts: data, weights, steps, time, memory, name. Torch-free."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil

from engine.contract.data_files import bytes_words, data_folders, find_file, offline
from engine.contract.datasets import DatasetFacts, datasets
from engine.contract.errors import MedtuiError
from engine.contract.journal import read_journal
from engine.contract.protocol import EpochFinished
from engine.contract.recipe import Recipe
from engine.contract.recipe_file import build_recipe
from engine.contract.run_directory import RunDirectory, list_runs
from engine.contract.run_identity import run_name
from engine.contract.status import RunSummary, fold_summary
from engine.contract.workspace import Workspace
from engine.contract.yaml_reader import read_yaml_file
from medtui.client.data_sets import known_md5

WEIGHTS_FILE = "resnet18-f37072fd.pth"  # torchvision's name for its ResNet-18 weights
LOOK_BACK = 30  # runs

# Rough sizes for the estimate; the engine's resident memory was measured on a CPU at 28 px.
_BASE = 420e6  # bytes: interpreter, torch, its kernels
_PER_IMAGE_28 = {"resnet18_adapted": 6.5e6, "resnet18": 0.7e6, "mini_cnn": 0.6e6}  # bytes of activations
_PARAMETERS = {"resnet18_adapted": 11.2e6, "resnet18": 11.2e6, "mini_cnn": 0.1e6}
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
    memory_free: int  # bytes
    run: str


def preflight(recipe: Recipe, workspace: Workspace, data: Sequence[str], today: date) -> Preflight:
    """Look at files; may take a while, so never on the screen's own thread."""
    facts = datasets()[recipe.dataset.name]
    data_words, data_ok = data_state(recipe, facts, workspace, data)
    weights_words, weights_ok = weights_state(recipe)
    images = training_images(recipe, facts)
    seconds, source = earlier_pace(recipe, workspace)
    name = run_name(recipe, today)
    return Preflight(
        data=data_words,
        data_ok=data_ok,
        weights=weights_words,
        weights_ok=weights_ok,
        steps=steps_per_epoch(images, recipe.training.batch_size) * recipe.training.epochs if images else None,
        seconds=seconds,
        seconds_from=source,
        memory_needed=memory_estimate(recipe, images or 0, facts),
        memory_free=psutil.virtual_memory().available,
        run=free_name(workspace.outputs, name),
    )


def training_images(recipe: Recipe, facts: DatasetFacts) -> int | None:
    """None for an archive of the user's own: how many it holds is not known before it is read."""
    if recipe.dataset.archive is not None:
        return None
    return min(facts.splits["train"], recipe.dataset.limit or facts.splits["train"])


def steps_per_epoch(images: int, batch_size: int) -> int:
    """A last batch of one image is dropped."""
    whole, rest = divmod(images, batch_size)
    return whole + (rest > 1)


def free_name(outputs: Path, name: str) -> str:
    number = 1
    while (outputs / (name if number == 1 else f"{name}_{number}")).exists():
        number += 1
    return name if number == 1 else f"{name}_{number}"


# ---- data -----------------------------------------------------------------------------------------------------------


def data_state(recipe: Recipe, facts: DatasetFacts, workspace: Workspace, data: Sequence[str]) -> tuple[str, bool]:
    if facts.synthetic:
        return f"{facts.name} is drawn by a program, no file needed", True
    if recipe.dataset.archive is not None:
        return _own_archive(recipe, workspace, data)
    archive = facts.archives[recipe.dataset.size]
    path = find_file(archive, data_folders(data, workspace.root))
    if path is None and offline():
        return (
            f"{archive.file_name} is missing, MEDTUI_OFFLINE is set: put it into the workspace's dataset/, "
            "or start with --data",
            False,
        )
    if path is None:
        most = bytes_words(facts.largest(recipe.dataset.size))
        return f"{archive.file_name} is missing: r fetches it first (at most {most})", True
    counts = "/".join(str(facts.splits[split]) for split in ("train", "val", "test"))
    found = known_md5(path)
    if found is None:
        return f"{path.name} found ({counts}), MD5 not looked at yet", True
    if found != archive.md5:
        return f"{path} is not the official file: MD5 {found}, expected {archive.md5}", False
    return f"{path.name} found, MD5 ok ({counts})", True


def _own_archive(recipe: Recipe, workspace: Workspace, data: Sequence[str]) -> tuple[str, bool]:
    written = recipe.dataset.archive or ""
    candidates = [
        Path(written.replace("${data}", str(folder)).replace("${workspace}", str(workspace.root))).expanduser()
        for folder in (data_folders(data, workspace.root) if "${data}" in written else [Path()])
    ]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        return f"archive {written} is missing", False
    if recipe.dataset.md5 is None:
        return f"archive {path.name} found; write its MD5 as `md5` (`md5sum {path.name}` prints it)", False
    found = known_md5(path)
    if found is not None and found != recipe.dataset.md5:
        return f"archive {path.name} has MD5 {found}, the recipe says {recipe.dataset.md5}", False
    return f"archive {path.name} found" + (", MD5 ok" if found else ", MD5 not looked at yet"), True


# ---- weights ---------------------------------------------------------------------------------------------------------


def weights_file() -> Path:
    """Where torchvision keeps its ResNet-18 weights."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    home = os.environ.get("TORCH_HOME") or str(Path(cache) / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints" / WEIGHTS_FILE


def weights_state(recipe: Recipe) -> tuple[str, bool]:
    if recipe.training.init_from is not None:
        return f"from run {recipe.training.init_from}", True
    if recipe.model.pretrained is False or recipe.model.name == "mini_cnn":
        return "from scratch", True
    if weights_file().is_file():
        return "ImageNet file found", True
    if not offline():
        return "ImageNet file missing: r fetches it first (47 MB)", True
    if recipe.model.pretrained == "auto":
        return "ImageNet file missing → scratch (auto)", True
    return f"ImageNet file missing: expected {weights_file()}", False


# ---- time and memory -------------------------------------------------------------------------------------------------


def earlier_pace(recipe: Recipe, workspace: Workspace) -> tuple[float | None, str]:
    """Seconds of a whole run at the pace of the newest one with like epochs, and its name.

    Its epochs with all that lay between them, as many as are planned, and what came after the last of them.
    """
    for run in reversed(list_runs(workspace.outputs)[-LOOK_BACK:]):
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
        return build_recipe(read_yaml_file(run.recipe).values, model=model)
    except MedtuiError:
        return None


def _alike(before: Recipe, now: Recipe) -> bool:
    """Does an epoch of both take as long? Images, net, batches and machine decide that."""

    def decisive(recipe: Recipe) -> tuple[object, ...]:
        data, training, runtime = recipe.dataset, recipe.training, recipe.runtime
        images = (data.name, data.size, data.limit, data.archive)
        return (*images, recipe.model.name, training.batch_size, training.amp, runtime.device, runtime.threads)

    return decisive(before) == decisive(now)


def memory_estimate(recipe: Recipe, images: int, facts: DatasetFacts) -> float:
    """Bytes, about: the base, the weights' copies, one batch's activations, the images."""
    area = (recipe.dataset.size / 28) ** 2
    activations = _PER_IMAGE_28[recipe.model.name] * area * recipe.training.batch_size
    weights = _PARAMETERS[recipe.model.name] * 4 * _COPIES
    pixels = images * recipe.dataset.size**2 * facts.channels
    return _BASE + weights + activations + pixels
