"""Is this a job of a cluster's scheduler, which one, and how does one end such a job?"""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Mapping

from engine.contract.protocol import Message

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
