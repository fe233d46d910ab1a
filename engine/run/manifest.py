"""What was found out about a run and its machine: `manifest.json`, and the run's own copy of its recipe."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import torch

from engine.contract.files import write_text
from engine.contract.protocol import Start
from engine.contract.recipe import Recipe
from engine.contract.recipe_file import recipe_yaml
from engine.contract.resumable import texts_of
from engine.contract.run_directory import RunDirectory, attempts_of
from engine.contract.run_identity import identity_values, recipe_hash
from engine.contract.scheduler import scheduler_job
from engine.contract.workspace import Workspace
from engine.run.job import Job
from engine.run.prepare import Prepared
from engine.train.state import TrainingState

PACKAGES = ("medtui", "torch", "torchvision", "numpy", "scikit-learn", "safetensors", "pydantic")


def write_recipe(run: RunDirectory, recipe: Recipe, job: Job) -> None:
    """What ran, every field written out; paths as anchors, so that the folder can move. Loads back to the same hash."""
    archive = recipe.dataset.archive
    if archive is not None:
        dataset = recipe.dataset.model_copy(update={"archive": _anchored(archive, job.workspace, job.start)})
        recipe = recipe.model_copy(update={"dataset": dataset})
    write_text(run.recipe, recipe_yaml(recipe, f"The recipe of {run.name}, every field written out."))


def _anchored(path: str, workspace: Workspace, start: Start) -> str:
    whole = Path(path).expanduser()
    anchors = [("${workspace}", workspace.root), *(("${data}", Path(folder)) for folder in start.data)]
    for anchor, folder in anchors:
        if whole.is_absolute() and whole.is_relative_to(folder.resolve()):
            return f"{anchor}/{whole.relative_to(folder.resolve()).as_posix()}"
    return path


def write_manifest(run: RunDirectory, prepared: Prepared, job: Job) -> dict[str, Any]:
    """What was found out at the start of a new run. Raises OSError."""
    mean, std = prepared.statistics
    scheduled = scheduler_job()
    manifest = {
        "run": run.name,
        "started": _utc(),
        "recipe_hash": recipe_hash(prepared.recipe),
        "command_line": job.start.command_line,
        "by": _user(),
        "seed": prepared.recipe.training.seed,
        "decisions": prepared.decisions,
        "threads": prepared.threads,
        "data": {
            "source": prepared.data.source,
            "md5": prepared.data.md5,
            "official": prepared.data.official,
            "synthetic": prepared.facts.synthetic,
            "images": {name: len(split) for name, split in prepared.splits.items()},
            "mean": mean,
            "std": std,
        },
        "host": socket.gethostname(),
        "scheduler": scheduled.model_dump() if scheduled else None,
        "hardware": hardware(prepared.device),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions(),
        "git_commit": _git_commit(job.workspace.root),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name
            in (
                "OMP_NUM_THREADS",
                "OMP_WAIT_POLICY",
                "GOMP_SPINCOUNT",
                "CUBLAS_WORKSPACE_CONFIG",
                "PYTHONHASHSEED",
                "CUDA_VISIBLE_DEVICES",
                "IN_DOCKER",
            )
        },
        "drift": [],
        "attempts": [_attempt(1, prepared, job, None, [])],
    }
    return _written(run, manifest)


def add_attempt(
    run: RunDirectory, manifest: dict[str, Any], prepared: Prepared, job: Job, state: TrainingState, drift: list[str]
) -> dict[str, Any]:
    """The manifest of a run that goes on from where the state stands. Raises OSError."""
    attempts = attempts_of(manifest)
    position = {"epoch": state.epoch, "step": state.step}
    attempts.append(_attempt(len(attempts) + 1, prepared, job, position, drift))
    known = texts_of(manifest.get("drift"))
    drift = known + [change for change in drift if change not in known]
    return _written(run, {**manifest, "drift": drift, "attempts": attempts})


def must_match(prepared: Prepared) -> dict[str, str]:
    """What must be equal in every attempt for a run to end bit for bit as if it had never been interrupted."""
    return {
        **identity_values(prepared.recipe),
        "data": prepared.data.md5 or prepared.data.source,
        "threads": str(prepared.threads),
        **{name: prepared.decisions[name] for name in ("device", "amp", "weights")},
        "python": platform.python_version(),
        **versions(),
    }


def _attempt(
    number: int, prepared: Prepared, job: Job, resumed_from: dict[str, int] | None, drift: list[str]
) -> dict[str, Any]:
    return {
        "attempt": number,
        "started": _utc(),
        "resumed_from": resumed_from,
        "drift": drift,
        "command_line": job.start.command_line,
        "by": _user(),
        "data_folders": job.start.data,
        "host": socket.gethostname(),
        "hardware": hardware(prepared.device),
        "must_match": must_match(prepared),
    }


def _written(run: RunDirectory, manifest: dict[str, Any]) -> dict[str, Any]:
    write_text(run.manifest, json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return manifest


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def versions(names: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Installed versions, without importing the packages."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware(device: torch.device) -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git_commit(root: Path) -> str | None:
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
