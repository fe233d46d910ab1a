"""Resuming a run: what has changed since, which checkpoint is complete, which best weights belong to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.contract.files.folders import File
from engine.contract.store.run_directory import RunDirectory, make_parts
from engine.contract.wire.errors import CheckpointError, DriftError
from engine.run.drift import changes
from engine.run.job import Job
from engine.run.manifest import add_attempt, must_match
from engine.run.own_data import with_files
from engine.run.prepare import Prepared
from engine.run.resumed import ResumedRun
from engine.sentences import Alarms, Checkpoints, Decisions, Drift
from engine.train.restore import holds_best, restore
from engine.train.state import TrainingState


def reopen_run(
    job: Job, prepared: Prepared, resumed: ResumedRun, state: TrainingState
) -> tuple[RunDirectory, dict[str, Any]]:
    """The state of the newest complete checkpoint, and the run's directory, journal and manifest continued.

    What refuses comes first and changes no file. Raises DriftError or CheckpointError.
    """
    run = resumed.run
    changed = with_files(changes(resumed.recorded, must_match(prepared)), run, prepared.data)
    if not resumed.manifest and not resumed.allow_drift:
        raise DriftError(Drift.UNKNOWN, run=run.name)
    strict = prepared.recipe.runtime.reproducible
    drift = [change.description for change in changed if strict or not change.is_hardware]
    noted = [change.description for change in changed if change.is_hardware and not strict]
    if drift and not resumed.allow_drift:
        raise DriftError(Drift.CHANGED, run=run.name, changes="; ".join(drift))
    with job.control.interruptible():
        restored = restore_newest(job, run, state)
    job.control.raise_if_aborted()
    run.folder.hold()  # from here on the run is this folder, wherever the workspace is moved
    job.run = run
    make_parts(run)
    for folder in (run.folder.itself, run.checkpoints, run.metrics, run.reports, run.figures):
        folder.sweep()
    for file in (run.last, run.previous, run.best, run.previous_best, run.model_bundle, run.features):
        if file.is_folder:
            file.put_aside()
    if restored == run.previous:
        run.previous.move(run.last)  # one step: at every moment a complete checkpoint is there
    job.on_run_directory(run)
    if job.lock:
        job.lock.describe(run.name)
    if drift:
        job.stream.note(Decisions.WITH_DRIFT, "warning", changes="; ".join(drift))
    if noted:
        job.stream.note(Decisions.OTHER_HARDWARE, "warning", changes="; ".join(noted))
    return run, add_attempt(run, resumed.manifest, prepared, job, state, drift, noted)


def restore_newest(job: Job, run: RunDirectory, state: TrainingState) -> File | None:
    """Restore `last`; where it is missing or, loudly, damaged or its best weights are lost, `previous`. Which it was.

    Without either the run starts over: it ended before its first checkpoint. Raises CheckpointError.
    """
    trouble: CheckpointError | None = None
    for path in (run.last, run.previous):
        if not path.is_there:
            continue
        try:
            restore(path, state)
            _check_best(run, state)
        except CheckpointError as error:
            trouble = trouble or error
            continue
        if trouble:
            job.stream.alarm(
                "checkpoint",
                Alarms.PREVIOUS_CHECKPOINT_USED,
                trouble=trouble.message,
                epoch=state.epoch + 1,
                step=state.step,
            )
        return path
    if trouble:
        raise trouble
    return None


def _check_best(run: RunDirectory, state: TrainingState) -> None:
    """Raises CheckpointError where the best weights of the restored state are neither in it nor in a file."""
    if state.best_epoch is None or _is_best(state):
        return
    if not any(holds_best(file, state) for file in (run.best, run.previous_best)):
        raise CheckpointError(Checkpoints.BEST_LOST, path=run.best, epoch=state.best_epoch)


def _is_best(state: TrainingState) -> bool:
    """Are its own weights the best so far?"""
    return (state.epoch, state.step) == (state.best_epoch, 0)


def recover_best(run: RunDirectory, state: TrainingState, save: Callable[[TrainingState], None]) -> None:
    """Make `best` what the restored state says it is, whenever the run was killed.

    Between `last` and `best`, the state itself holds the weights; when `previous` had to take the place of `last`,
    the best may be the one before. Raises CheckpointError when the weights are lost.
    """
    if state.best_epoch is None:  # what there is comes from beyond the position, or no validation chose it
        run.best.delete()
        run.previous_best.delete()
    elif holds_best(run.best, state):
        return
    elif holds_best(run.previous_best, state):
        run.previous_best.move(run.best)
    elif _is_best(state):
        save(state)
    else:
        raise CheckpointError(Checkpoints.BEST_LOST, path=run.best, epoch=state.best_epoch)
