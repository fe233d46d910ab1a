"""What a completed run keeps of its checkpoints: `best` and `last`. The ones before them are there for a resume."""

from __future__ import annotations

from engine.contract.files.folders import File
from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import CheckpointError
from engine.failure import reason_of
from engine.run.job import Job
from engine.sentences import Alarms
from engine.train.restore import holds_best
from engine.train.state import TrainingState


def drop_previous_checkpoints(job: Job, run: RunDirectory, state: TrainingState) -> None:
    """At the end of a completed run, when `last` and `best` were read back and are what they should be.

    A kill in between costs nothing: they alone are enough to resume and to evaluate. Where one of them is not, the ones
    before stay, with an alarm.
    """
    found = [file for file in (run.previous, run.previous_best) if file.is_there]
    if not found:
        return
    for newest, is_good in ((run.last, _is_complete), (run.best, lambda best: _is_best(best, state))):
        if not is_good(newest):
            kept = " and ".join(file.name for file in found)
            job.stream.alarm("checkpoint", Alarms.CHECKPOINT_ALTERED, file=newest.name_below, kept=kept)
            return
    for file in found:
        try:
            file.delete()
        except OSError as error:
            job.stream.log(f"{file.name_below} could not be removed: {reason_of(error)}", "warning")


def _is_complete(file: File) -> bool:
    try:
        verified_digest(file)
    except CheckpointError:
        return False
    return True


def _is_best(file: File, state: TrainingState) -> bool:
    """Does it hold the best weights; where no epoch was best, those that were tested?"""
    return holds_best(file, state)
