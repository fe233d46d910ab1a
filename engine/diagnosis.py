"""What `diagnose` answers: what torch finds and supports here, as facts in words."""

from __future__ import annotations

import os
import platform

from engine.contract.machine.packages import NUMERIC, REPORTING, installed_version
from engine.failure import missing_address_space


def facts() -> dict[str, str]:
    """Imports torch, so the first answer of a cold engine takes seconds. What cannot be found out says why."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    found |= {name: installed_version(name) or "not installed" for name in ("medtui", *NUMERIC, *REPORTING)}
    try:
        found |= _torch_facts()
    except Exception as error:  # a broken torch is what this is here to say
        found["torch_error"] = f"{type(error).__name__}: {str(error)[:300]}"
        if (limit := missing_address_space(error)) is not None:
            found["address_space"] = str(limit)
    return found


def _torch_facts() -> dict[str, str]:
    import torch

    from engine.contract.wire.resolved import describe_precision
    from engine.device import choose_device, choose_precision, device_name, resolved_machine

    device = choose_device("auto")
    amp = describe_precision(resolved_machine(device, choose_precision("auto", device)), mixed=True)
    return {
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "cuda": str(torch.cuda.is_available()).lower(),
        "cuda_devices": str(torch.cuda.device_count() if torch.cuda.is_available() else 0),
        "mps": str(torch.backends.mps.is_available()).lower(),
        "device": device_name(device),
        "amp": amp,
        "deterministic": "supported" if hasattr(torch, "use_deterministic_algorithms") else "not supported",
        "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG", "not set"),
    }
