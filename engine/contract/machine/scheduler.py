"""Is this a job of a cluster's scheduler, which one, and how does one end such a job?"""

from __future__ import annotations

import os
import shlex
import signal
import socket
from collections.abc import Mapping
from typing import Literal

from engine.contract.wire.message import Message

# variable that a job finds in its environment: the scheduler's name, its own command to end a job
_SCHEDULERS = {
    "SLURM_JOB_ID": ("Slurm", "scancel"),
    "PBS_JOBID": ("PBS", "qdel"),
    "LSB_JOBID": ("LSF", "bkill"),
    "JOB_ID": ("Grid Engine", "qdel"),
    "OAR_JOB_ID": ("OAR", "oardel"),
    "COBALT_JOBID": ("Cobalt", "qdel"),
    "FLUX_JOB_ID": ("Flux", "flux cancel"),
    "KUBERNETES_SERVICE_HOST": ("Kubernetes", "kubectl delete pod"),
}


# What schedulers, and the kernel for them, send before they kill: `--signal` of Slurm, -notify and s_cpu of Grid
# Engine, bkill and -wa of LSF, limits of CPU time.
WARNINGS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
REPEAT_WINDOW = 2.0  # seconds in which one warning may arrive several times: by process and group, client and engine


def meaning_of(number: int, environment: Mapping[str, str] | None = None) -> Literal["end", "checkpoint"]:
    """What a warning asks for: a checkpoint and the end, or only the checkpoint.

    Grid Engine sends SIGUSR1 to a job that it is about to suspend, which continues later, and at its soft time limit,
    after which there is still time; SIGUSR2 before it kills.
    """
    job = scheduler_job(environment)
    suspends = job is not None and job.variable == "JOB_ID"
    return "checkpoint" if suspends and number == signal.SIGUSR1 else "end"


class SchedulerJob(Message):
    """The job that a process belongs to. May come from a file, so it is data and never run."""

    variable: str
    job: str

    def __str__(self) -> str:
        return f"{_SCHEDULERS.get(self.variable, (self.variable, ''))[0]} ({self.variable})"

    @property
    def cancel(self) -> str | None:
        """The scheduler's own command to end it, for a person to run; None for one that is not known here."""
        known = _SCHEDULERS.get(self.variable)
        return f"{known[1]} {shlex.quote(self.job)}" if known else None


def scheduler_job(environment: Mapping[str, str] | None = None) -> SchedulerJob | None:
    """None outside of a cluster's job."""
    values = os.environ if environment is None else environment
    variable = next((variable for variable in _SCHEDULERS if values.get(variable)), None)
    if variable is None:
        return None
    job = socket.gethostname() if variable == "KUBERNETES_SERVICE_HOST" else values[variable]
    return SchedulerJob(variable=variable, job=job)
