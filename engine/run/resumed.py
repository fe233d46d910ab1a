"""A run that is to be resumed, as its directory describes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract.files.paths import absolute
from engine.contract.machine.hardware import max_threads
from engine.contract.recipe.reader import build_recipe, read_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.store.resumable import check_resumable, data_folders_of
from engine.contract.store.run_directory import RunDirectory, attempts_of
from engine.contract.store.slots import lock_of_job
from engine.contract.wire.errors import CheckpointError
from engine.contract.wire.jobs import Train
from engine.contract.wire.recorded import read_resolved, translated
from engine.contract.wire.resolved import Resolved
from engine.run.job import Job
from engine.sentences import Checkpoints


@dataclass(frozen=True)
class ResumedRun:
    run: RunDirectory
    manifest: dict[str, Any]  # untrusted: nothing in it is trusted unchecked
    allow_drift: bool  # may it be resumed although something has changed?
    data_folders: tuple[Path, ...]  # where its data were, searched after the usual folders

    @property
    def has_checkpoint(self) -> bool:
        return self.run.last.is_there or self.run.previous.is_there

    @property
    def checkpoint_bytes(self) -> int:
        folder = self.run.checkpoints
        return sum((folder / name).size for name in folder.names() if name.endswith(".safetensors"))

    @property
    def recorded(self) -> dict[str, Any]:
        """What the newest attempt recorded that must match."""
        attempts = attempts_of(self.manifest)
        recorded = attempts[-1].get("must_match") if attempts else None
        return recorded if isinstance(recorded, dict) else {}

    @property
    def resolved(self) -> Resolved:
        """What its newest attempt had decided, as far as that can be read."""
        return read_resolved(translated(self.recorded))

    @property
    def threads(self) -> int | None:
        """With how many the newest attempt trained: other ones would change the last bits."""
        threads = self.resolved.threads
        return threads if threads is not None and threads <= max_threads() else None

    def recipe(self) -> Recipe:
        """The run's own. Raises RecipeError."""
        return read_recipe(self.run.recipe)


def recipe_of(command: Train, resumed: ResumedRun | None) -> Recipe:
    """A resumed run has its own recipe, unless the command brings one. Raises RecipeError."""
    return resumed.recipe() if resumed and not command.recipe else build_recipe(command.recipe)


def resumed_run(job: Job, command: Train) -> ResumedRun | None:
    """The run that the job is to resume; None for a new one. Raises UsageError, CheckpointError or WorkspaceLocked."""
    if command.resume is None:
        return None
    run = RunDirectory(absolute(command.resume))
    manifest = check_resumable(run, job.workspace)
    if command.suite_item is None and (lock := lock_of_job(job.workspace.folder, manifest)):
        lock.acquire()  # until this process ends
    if run.journal.is_there:
        run.journal.reading().close()  # what is no file refuses, before anything is changed
    resumed = ResumedRun(run, manifest, command.allow_drift, data_folders_of(manifest))
    if run.best.is_there and not resumed.has_checkpoint:
        raise CheckpointError(Checkpoints.NONE_TO_RESUME_FROM, run=run.name)
    return resumed
