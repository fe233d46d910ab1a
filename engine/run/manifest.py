"""What was found out about a run and its machine: `manifest.json`, and the run's own copy of its recipe."""

from __future__ import annotations

import getpass
import json
import os
import platform
import socket
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

from engine.contract.files.paths import absolute, expanded, is_there
from engine.contract.machine.limits import cores, memory
from engine.contract.machine.packages import NUMERIC, installed_version
from engine.contract.machine.scheduler import scheduler_job
from engine.contract.recipe.identity import identity_values, recipe_hash, resolved_hash
from engine.contract.recipe.reader import recipe_yaml
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sources import with_paths
from engine.contract.store.resumable import texts_of
from engine.contract.store.run_directory import RunDirectory, attempts_of, next_in_order
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Start
from engine.kernels import cpu_kernels
from engine.run.drift import UNCOMPARED
from engine.run.job import Job
from engine.run.prepare import Prepared
from engine.train.state import TrainingState


def write_recipe(run: RunDirectory, recipe: Recipe, job: Job) -> None:
    """What ran, every field written out; paths as anchors, so that the folder can move. Loads back to the same hash.

    Nothing in it distinguishes runs of the same recipe: equal recipes give equal files.
    """
    dataset = with_paths(recipe.dataset, lambda path: _anchored(path, job.workspace, job.start))
    model = recipe.model
    if model.weights is not None:
        model = model.model_copy(update={"weights": _anchored(model.weights, job.workspace, job.start)})
    recipe = recipe.model_copy(update={"dataset": dataset, "model": model})
    run.recipe.write(recipe_yaml(recipe, "The recipe of this run, every field written out."))


def _anchored(path: str, workspace: Workspace, start: Start) -> str:
    if path.startswith("${"):
        return path
    resolved = Path(os.path.normpath(Path(start.folder or "") / expanded(path)))
    anchors = [("${workspace}", workspace.root), *(("${data}", Path(folder)) for folder in start.data)]
    for anchor, folder in anchors:
        if resolved.is_absolute() and resolved.is_relative_to(absolute(folder)):
            return f"{anchor}/{resolved.relative_to(absolute(folder)).as_posix()}"
    return str(resolved) if resolved.is_absolute() else path


def write_manifest(run: RunDirectory, prepared: Prepared, job: Job) -> dict[str, Any]:
    """What was found out at the start of a new run. Raises OSError."""
    attempt = _attempt(1, prepared, job, None, [], [])
    return _written(run, {**_found_out(run, prepared, job), "drift": [], "attempts": [attempt]})


def _found_out(run: RunDirectory, prepared: Prepared, job: Job) -> dict[str, Any]:
    mean, std = prepared.statistics
    scheduled = scheduler_job()
    given = job.start.slot or job.start.suite_item
    return {
        "run": run.name,
        "started": _utc(),
        "recipe_hash": recipe_hash(prepared.recipe),
        "command_line": job.start.command_line,
        "by": _user(),
        **({"suite": {"owner": given.owner, "item": given.item}} if given is not None else {}),
        "seed": prepared.recipe.training.seed,
        "resolved": prepared.resolved.model_dump(mode="json"),
        "resolved_hash": resolved_hash(prepared.recipe, prepared.resolved),
        "decisions": prepared.decisions,
        "init_from": prepared.source.values() if prepared.source else None,
        "threads": prepared.threads,
        "data": {
            "source": prepared.data.source,
            "md5": prepared.data.md5,
            "fingerprint": prepared.data.fingerprint,
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
    }


def add_attempt(
    run: RunDirectory,
    manifest: dict[str, Any],
    prepared: Prepared,
    job: Job,
    state: TrainingState,
    drift: list[str],
    noted: list[str],
) -> dict[str, Any]:
    """The manifest of a run that is resumed from the state's position. Raises OSError.

    `drift` marks the results; `noted` is what differs and is allowed to in a run that is not strict. What of the
    earlier one is missing or of another kind is as it is found now: the user allowed that.
    """
    now = _found_out(run, prepared, job)
    kept = {name: value for name, value in manifest.items() if name not in now or type(value) is type(now[name])}
    manifest = {**now, **kept}
    attempts = attempts_of(manifest)
    position = {"epoch": state.epoch, "step": state.step}
    attempts.append(_attempt(len(attempts) + 1, prepared, job, position, drift, noted))
    known = texts_of(manifest.get("drift"))
    drift = known + [change for change in drift if change not in known]
    known_hash = {} if not drift else {"resolved_hash": None}  # part of it was another experiment
    return _written(run, {**manifest, **known_hash, "drift": drift, "attempts": attempts})


def must_match(prepared: Prepared) -> dict[str, Any]:
    """What must be equal in every attempt for a run to end bit for bit as if it had never been interrupted, by name.

    JSON values, as the manifest has them; `engine.run.drift` says what a difference of each means.
    """
    resolved = prepared.resolved.model_dump(mode="json", exclude={"storage"})
    return {
        **identity_values(prepared.recipe),
        **resolved,
        **(cpu_kernels() if prepared.device.type == "cpu" else {}),
        **({"pillow": installed_version("pillow")} if prepared.data.fingerprint else {}),
        "python": platform.python_version(),
        **{name: version for name, version in versions().items() if name not in UNCOMPARED},
    }


def _attempt(
    number: int,
    prepared: Prepared,
    job: Job,
    resumed_from: dict[str, int] | None,
    drift: list[str],
    noted: list[str],
) -> dict[str, Any]:
    return {
        "attempt": number,
        "started": _utc(),
        "order": next_in_order(job.workspace.outputs),
        "resumed_from": resumed_from,
        "drift": drift,
        "noted": noted,
        "command_line": job.start.command_line,
        "by": _user(),
        "data_folders": job.start.data,
        "host": socket.gethostname(),
        **({"job_log": item.log} if (item := job.start.suite_item) is not None and item.log else {}),
        "hardware": hardware(prepared.device),
        "must_match": must_match(prepared),
    }


def _written(run: RunDirectory, manifest: dict[str, Any]) -> dict[str, Any]:
    run.manifest.write(json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return manifest


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@cache  # a process has the versions that it began with
def versions() -> dict[str, str]:
    """Of what decides a run's numbers, as installed."""
    found = {name: installed_version(name) for name in ("medtui", *NUMERIC)}
    return {name: version for name, version in found.items() if version is not None}


def hardware(device: torch.device) -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory": memory().total,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "kernels": cpu_kernels(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git_commit(root: Path) -> str | None:
    if not is_there(root / ".git"):
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
