"""Going on with an earlier run: what has changed since, which checkpoint is whole, which best weights belong to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.contract.errors import CheckpointError, DriftError
from engine.contract.files import put_aside, sweep
from engine.contract.run_directory import RunDirectory, make_parts
from engine.run.earlier import Earlier
from engine.run.job import Job
from engine.run.manifest import add_attempt, must_match
from engine.run.prepare import Prepared
from engine.train.restore import holds_best, restore
from engine.train.state import TrainingState


def reopen_run(
    job: Job, prepared: Prepared, earlier: Earlier, state: TrainingState
) -> tuple[RunDirectory, dict[str, Any]]:
    """The state as the newest whole checkpoint has it, and the run's directory, journal and manifest going on.

    What refuses comes first and changes no file. Raises DriftError or CheckpointError.
    """
    run = earlier.run
    drift = drift_of(earlier.recorded, must_match(prepared))
    if drift and not job.start.allow_drift:
        raise DriftError(
            f"{run.name} would not go on as it began: {'; '.join(drift)}.",
            "Make them what they were, or give --allow-drift, which marks the results.",
        )
    restored = restore_newest(job, run, state)
    job.control.raise_if_aborted()
    job.run = run
    make_parts(run)
    for folder in (run.root, run.last.parent, run.metrics, run.reports, run.figures):
        sweep(folder)
    for path in (run.last, run.previous, run.best, run.previous_best):
        if path.is_dir():
            put_aside(path)
    if restored == run.previous:
        restored.replace(run.last)  # one step: at every moment a whole checkpoint is there
    job.on_run_directory(run)
    if job.lock:
        job.lock.describe(run.name)
    if drift:
        job.stream.log(f"The run goes on although this changed: {'; '.join(drift)}. Its results are marked.", "warning")
    return run, add_attempt(run, earlier.manifest, prepared, job, state, drift)


def drift_of(recorded: dict[str, Any], found: dict[str, str]) -> list[str]:
    """What differs, in words: `threads 1 → 2`. Pure."""
    names = [*found, *(name for name in recorded if name not in found)]
    return [
        f"{name[:60]} {str(recorded.get(name, 'unknown'))[:80]} → {found.get(name, 'none')[:80]}"
        for name in names
        if recorded.get(name) != found.get(name)
    ]


def restore_newest(job: Job, run: RunDirectory, state: TrainingState) -> Path | None:
    """Restore `last`; where it is damaged, loudly, or missing, `previous`. Which one it was.

    Without either the run begins anew: it ended before its first checkpoint. Raises CheckpointError.
    """
    trouble: CheckpointError | None = None
    for path in (run.last, run.previous):
        if not path.exists():
            continue
        try:
            restore(path, state)
        except CheckpointError as error:
            trouble = trouble or error
            continue
        if trouble:
            where = f"epoch {state.epoch + 1}, step {state.step}"
            job.stream.alarm("checkpoint", f"{trouble.message} The one before is used: {where}.", "Check the disk.")
        return path
    if trouble:
        raise trouble
    return None


def recover_best(run: RunDirectory, state: TrainingState, save: Callable[[TrainingState], None]) -> None:
    """Make `best` what the restored state says it is, whenever the run was killed.

    Between `last` and `best`, the state itself holds the weights; when `previous` had to take the place of `last`,
    the best may be the one before. Raises CheckpointError when the weights are lost.
    """
    if state.best_epoch is None:  # what there is comes from beyond the position
        run.best.unlink(missing_ok=True)
        run.previous_best.unlink(missing_ok=True)
    elif holds_best(run.best, state):
        return
    elif holds_best(run.previous_best, state):
        run.previous_best.replace(run.best)
    elif (state.epoch, state.step) == (state.best_epoch, 0):
        save(state)
    else:
        raise CheckpointError(
            f"{run.best} does not hold the weights of epoch {state.best_epoch}, the best so far, "
            "and no other checkpoint does.",
            "Put it back, or start a new run.",
        )
