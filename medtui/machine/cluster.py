"""Is this a job of a cluster's scheduler?"""

from __future__ import annotations

import os
from collections.abc import Mapping

_SCHEDULERS = {
    "SLURM_JOB_ID": "Slurm",
    "PBS_JOBID": "PBS",
    "LSB_JOBID": "LSF",
    "JOB_ID": "Grid Engine",
    "OAR_JOB_ID": "OAR",
    "COBALT_JOBID": "Cobalt",
    "FLUX_JOB_ID": "Flux",
    "KUBERNETES_SERVICE_HOST": "Kubernetes",
}


def scheduler(environment: Mapping[str, str] | None = None) -> str | None:
    """`Slurm (SLURM_JOB_ID)`; None outside of a cluster job."""
    values = os.environ if environment is None else environment
    return next((f"{name} ({variable})" for variable, name in _SCHEDULERS.items() if values.get(variable)), None)
