"""What the machine gives: device, precision, threads, determinism. Decisions are made once and told in words."""

from __future__ import annotations

import os
import warnings

import psutil
import torch

from engine.contract.errors import DeviceError
from engine.contract.hardware import cpu_has_bfloat16, refuse_threads


def choose_device(wanted: str) -> torch.device:
    """`auto` takes the first GPU, else the CPU. Raises DeviceError for one that does not exist."""
    if wanted == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if wanted.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        number = int(wanted.partition(":")[2] or 0)
        if number >= count:
            found = f"{count} CUDA device{'s' * (count != 1)}" if count else "no CUDA device"
            raise DeviceError(f"The recipe wants runtime.device {wanted}, found {found}.", "Write `device: auto`.")
        return torch.device("cuda", number)
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("The recipe wants runtime.device mps, found no Metal device.", "Write `device: auto`.")
    return torch.device(wanted)


def device_words(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def choose_precision(wanted: bool | str, device: torch.device) -> tuple[torch.dtype | None, str]:
    """The mixed-precision type, or None, and why. Raises DeviceError where `amp: true` cannot work."""
    if wanted is False:
        return None, "off (recipe)"
    if device.type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return dtype, f"on, {str(dtype).removeprefix('torch.')} ({device_words(device)})"
    if device.type == "cpu" and cpu_has_bfloat16():
        return torch.bfloat16, "on, bfloat16 (this CPU has units for it)"
    reason = "this CPU has no bfloat16 units, it would be slower" if device.type == "cpu" else f"not on {device.type}"
    if wanted is True:
        raise DeviceError(f"The recipe wants training.amp, but {reason}.", "Write `amp: auto` or `amp: false`.")
    return None, f"off ({reason})"


def set_threads(threads: int | None) -> int:
    """Threads of torch on the CPU: the recipe's, else what torch chose (one a core, or OMP_NUM_THREADS).

    Raises DeviceError for far too many.
    """
    refuse_threads(threads)
    if threads is not None:
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def set_determinism(strict: bool) -> None:
    """Strict mode: deterministic kernels or an error, and no search for the fastest one."""
    if strict:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
    # `use_deterministic_algorithms` sets the same flag, and imports the compiler to tell it: seconds of every start
    torch.set_deterministic_debug_mode("error" if strict else "default")
    torch.backends.cudnn.benchmark = not strict
    torch.backends.cudnn.deterministic = strict


def free_memory() -> int:
    """Bytes that can be had without swapping."""
    return int(psutil.virtual_memory().available)


def free_on_device(device: torch.device) -> int | None:
    """Bytes free on a CUDA device; None elsewhere."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
