"""What does the job, as one more module of `engine/run/` would."""

from __future__ import annotations

from counting.message import Count
from engine.contract.sentence import Sentence
from engine.contract.wire.errors import STOPPED, UsageError
from engine.run.job import Job, JobResult


class Counting:
    """The errors of this job; a real one has its group in `engine/sentences.py`."""

    TOO_FEW = Sentence("Expected a number from 1 to count to, found {found}.", "Give another.")


def count(job: Job, command: Count) -> JobResult:
    if command.up_to < 1:
        raise UsageError(Counting.TOO_FEW, found=command.up_to)
    job.enter("training")
    for number in range(1, command.up_to + 1):
        job.control.raise_if_aborted()
        job.stream.log(f"{number}")
    if command.patiently:
        job.control.request("pause")
        job.control.wait_while_paused()
        job.control.raise_if_aborted()
    return JobResult("stopped", STOPPED) if job.control.stop_requested else JobResult()
