"""What the job of a scheduler reports of itself: a small file for each run of a suite, which its job alone writes.

The truth about a run is in its directory; this says of the job what that cannot: whether it will run again.
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from engine.contract.files.folders import File
from engine.contract.store.run_directory import read_object

JOBS = "jobs"  # folder of a suite: these files, the output of its jobs, and what submitit keeps
# requeued: it asked for that, after a warning. terminated: the scheduler ended it, and may run it again
Phase = Literal["running", "requeued", "terminated", "ended"]


@dataclass(frozen=True)
class JobRecord:
    job: str  # the scheduler's id
    phase: Phase
    host: str
    time: float  # Unix seconds
    code: int | None = None  # of `ended`: the exit code of the run


def write_record(file: File, job: str, phase: Phase, code: int | None = None) -> None:
    """Raises OSError."""
    record = JobRecord(job, phase, socket.gethostname(), round(time.time(), 3), code)
    file.write(json.dumps(asdict(record)) + "\n")


def read_record(file: File) -> JobRecord | None:
    """None where there is none, or it cannot be read."""
    values = read_object(file)
    try:
        if values is None or values["phase"] not in get_args(Phase):
            return None
        code = values.get("code")
        at = float(values["time"])
        return JobRecord(
            str(values["job"]), values["phase"], str(values["host"]), at, None if code is None else int(code)
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
