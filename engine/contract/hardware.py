"""What can be known of the machine without torch, so that the impossible is refused at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engine.contract.errors import DeviceError
from engine.contract.recipe import Recipe

THREADS_A_CORE = 4
_GPU_DOORS = ("nvidia[0-9]*", "nvidiactl", "dxg", "kfd")  # below /dev: NVIDIA, Windows' subsystem, AMD


def refuse_impossible(recipe: Recipe) -> None:
    """Raises DeviceError for what this machine cannot have: device, precision, threads; the engine knows the rest."""
    refuse_threads(recipe.runtime.threads)
    device = recipe.runtime.device
    if device.startswith("cuda") and has_no_gpu():
        raise DeviceError(f"The recipe wants runtime.device {device}, found no CUDA device.", "Write `device: auto`.")
    if device == "mps" and sys.platform != "darwin":
        raise DeviceError("The recipe wants runtime.device mps, found no Metal device.", "Write `device: auto`.")
    on_cpu = device == "cpu" or (device == "auto" and has_no_gpu())
    if recipe.training.amp is True and on_cpu and not cpu_has_bfloat16():
        raise DeviceError(
            "The recipe wants training.amp, but this CPU has no bfloat16 units, it would be slower.",
            "Write `amp: auto` or `amp: false`.",
        )


def refuse_threads(threads: int | None) -> None:
    """Raises DeviceError for far more threads than cores, which only wait for each other.

    Some more are allowed: a run of a larger machine goes on bit for bit only with the threads that it began with.
    """
    cores = os.cpu_count() or 1
    if threads is not None and threads > THREADS_A_CORE * cores:
        raise DeviceError(
            f"The recipe wants runtime.threads {threads}, found {cores} core{'s' * (cores != 1)}: at most "
            f"{THREADS_A_CORE} threads a core.",
            "Leave `threads` out for one a core.",
        )


def has_no_gpu() -> bool:
    """Certainly no GPU; False where that cannot be said from here."""
    doors = Path("/dev")
    return sys.platform == "linux" and not any(any(doors.glob(pattern)) for pattern in _GPU_DOORS)


def cpu_has_bfloat16() -> bool:
    """AVX512-BF16 or AMX on x86, BF16 on Arm, by the kernel's word."""
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
    line = next((line for line in flags.splitlines() if line.startswith(("flags", "Features"))), "")
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(line.split()))
