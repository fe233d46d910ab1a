"""What `diagnose` answers: what torch finds and supports here, as facts in words."""

from __future__ import annotations

import os
import platform
from importlib import metadata

PACKAGES = ("medtui", "torch", "torchvision", "numpy", "scikit-learn", "safetensors", "openpyxl", "matplotlib")


def facts() -> dict[str, str]:
    """Imports torch, so the first answer of a cold engine takes seconds. What cannot be found out says why."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    try:
        found |= _torch_facts()
    except Exception as error:  # a broken torch is what this is here to say
        found["torch_error"] = f"{type(error).__name__}: {str(error)[:300]}"
    return found


def _torch_facts() -> dict[str, str]:
    import torch

    from engine.device import choose_device, choose_precision, device_words

    device = choose_device("auto")
    _, amp = choose_precision("auto", device)
    return {
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "cuda": str(torch.cuda.is_available()).lower(),
        "cuda_devices": str(torch.cuda.device_count() if torch.cuda.is_available() else 0),
        "mps": str(torch.backends.mps.is_available()).lower(),
        "device": device_words(device),
        "amp": amp,
        "deterministic": "supported" if hasattr(torch, "use_deterministic_algorithms") else "not supported",
        "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG", "not set"),
    }
