"""What the machine provides: device, precision, threads, determinism. Decisions are made once."""

from __future__ import annotations

import os
import random
import warnings
from functools import cache

import numpy as np
import torch

from engine.contract.machine.hardware import cpu_has_bfloat16
from engine.contract.machine.limits import cores, memory
from engine.contract.wire.errors import DeviceError
from engine.contract.wire.resolved import Resolved, why_not_mixed
from engine.sentences import Devices


def choose_device(requested: str, processes: int = 1) -> torch.device:
    """`auto` takes the first GPU, else the CPU. Raises DeviceError for one that does not exist.

    Of several processes each has its own GPU: this is the first one's.
    """
    device = _chosen(requested)
    count = torch.cuda.device_count() if device.type == "cuda" else processes
    if count < processes:
        plural = "s" * (count != 1)
        raise DeviceError(Devices.FEWER_THAN_PROCESSES, expected=processes, found=count, s=plural)
    return device


def _chosen(requested: str) -> torch.device:
    if requested == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if requested.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        number = int(requested.partition(":")[2] or 0)
        if number >= count:
            found = f"{count} CUDA device{'s' * (count != 1)}" if count else "no CUDA device"
            raise DeviceError(Devices.NOT_FOUND, expected=requested, found=found)
        return torch.device("cuda", number)
    return torch.device(requested)


def to_device(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """The values there; as given if they are. The only way from the machine's memory to a device while it computes.

    A plain copy would wait until the device has done all that it was given. Pinned memory is kept until it is copied.
    """
    values = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if values.device.type != "cpu" or device.type in ("cpu", "mps"):
        return values.to(device)
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


@cache
def constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """float32 [N], copied to a device once, not at every step. Computing with it changes nothing in it."""
    return to_device(torch.tensor(values, dtype=torch.float32), device)


def device_name(device: torch.device) -> str:
    """The GPU's model; elsewhere the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def choose_precision(requested: bool | str, device: torch.device) -> torch.dtype | None:
    """The mixed-precision type, or None. Raises DeviceError where `amp: true` cannot work."""
    if requested is False:
        return None
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and cpu_has_bfloat16():
        return torch.bfloat16
    if requested is True:
        raise DeviceError(Devices.NOT_MIXED, reason=why_not_mixed(device.type))
    return None


def resolved_machine(device: torch.device, precision: torch.dtype | None, threads: int | None = None) -> Resolved:
    """What of the machine is decided, as it is recorded."""
    return Resolved.model_validate(
        {
            "device": device.type,
            "device_name": device_name(device),
            "precision": str(precision or torch.float32).removeprefix("torch."),
            "threads": threads,
        }
    )


def set_threads(threads: int | None, processes: int = 1) -> int:
    """Threads of torch on the CPU: those asked for, else what torch chose (one per core, or OMP_NUM_THREADS).

    Torch does not see a container's CPU quota: threads beyond it only wait for each other. Several processes divide the
    cores.
    """
    if threads is None and processes > 1:
        threads = max(1, cores() // processes)
    if threads is None and not os.environ.get("OMP_NUM_THREADS") and torch.get_num_threads() > cores():
        threads = cores()
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


def seed_everything(seed: int) -> None:
    """Seed the global generators too, for whatever uses them: initial weights, libraries."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def free_memory() -> int:
    """Bytes that this job can have; 0 where that is unknown, so that nothing relies on them."""
    return memory().available or 0


def free_on_device(device: torch.device) -> int | None:
    """Bytes free on a CUDA device; None elsewhere."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
