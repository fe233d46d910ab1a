"""What can be known of the machine without torch, so that the impossible is refused at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engine.contract.recipe.recipe import Recipe
from engine.contract.sentences import Hardware
from engine.contract.wire.errors import DeviceError

THREADS_PER_CORE = 4
_GPU_DEVICES = ("nvidia[0-9]*", "nvidiactl", "dxg", "kfd")  # below /dev: NVIDIA, Windows' subsystem, AMD


def refuse_impossible(recipe: Recipe) -> None:
    """Raises DeviceError for what this machine cannot have: device, precision, threads; the engine knows the rest."""
    refuse_threads(recipe.runtime.threads)
    device = recipe.runtime.device
    if device.startswith("cuda") and has_no_gpu():
        raise DeviceError(Hardware.NO_CUDA, device=device)
    refuse_metal(device)
    on_cpu = device == "cpu" or (device == "auto" and has_no_gpu())
    if recipe.training.amp is True and on_cpu and not cpu_has_bfloat16():
        raise DeviceError(Hardware.NO_BFLOAT16)


def refuse_metal(device: str) -> None:
    """Raises DeviceError: Metal has no float64, which images are counted in, here and in every checkpoint."""
    if device == "mps":
        raise DeviceError(Hardware.NO_FLOAT64)


def refuse_threads(threads: int | None) -> None:
    """Raises DeviceError for far more threads than cores, which only wait for each other.

    Some more are allowed: a run of a larger machine continues bit for bit only with the threads that it began with.
    """
    if threads is not None and threads > max_threads():
        cores = os.cpu_count() or 1
        found = f"{cores} core{'s' * (cores != 1)}"
        raise DeviceError(Hardware.THREADS, threads=threads, found=found, per_core=THREADS_PER_CORE)


def max_threads() -> int:
    return THREADS_PER_CORE * (os.cpu_count() or 1)


def has_no_gpu() -> bool:
    """Certainly no GPU; False where that cannot be determined."""
    devices = Path("/dev")
    return sys.platform == "linux" and not any(any(devices.glob(pattern)) for pattern in _GPU_DEVICES)


def cpu_has_bfloat16() -> bool:
    """AVX512-BF16 or AMX on x86, BF16 on Arm, by the kernel's word."""
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
    line = next((line for line in flags.splitlines() if line.startswith(("flags", "Features"))), "")
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(line.split()))
