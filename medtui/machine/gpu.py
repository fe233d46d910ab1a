"""NVIDIA GPUs, as NVML reports them, the library of NVIDIA's driver; where it does not, why.

"No GPU" is what NVML answers on a machine without one. A library that is not there, or fails, has answered nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

RETRY = 10.0  # seconds after a failed start of the library; a driver may be loaded meanwhile
NOT_INSTALLED = "nvidia-ml-py is not installed"
NO_DRIVER = "no NVIDIA driver"


@dataclass(frozen=True)
class GpuProcess:
    """A process that computes on a GPU; its number is the host's, also where a container has others."""

    pid: int
    memory: int | None  # bytes


@dataclass(frozen=True)
class Gpu:
    """None is unknown: the device does not have it, or does not give it to this user."""

    name: str
    load: int | None = None  # percent
    memory_used: int | None = None  # bytes
    memory_total: int | None = None  # bytes
    temperature: int | None = None  # degrees Celsius
    power: float | None = None  # watts
    processes: tuple[GpuProcess, ...] | None = None
    trouble: str = ""  # why it cannot be reached; "" where it can


@dataclass(frozen=True)
class Gpus:
    """What NVML answered, or why it did not."""

    devices: tuple[Gpu, ...] = ()
    trouble: str = ""  # why nothing is known of devices; "" where NVML answered
    failed: bool = False  # is the library there, so that it should have answered?

    @property
    def words(self) -> str:
        """What there is to say of a machine without devices to show; "" of one with some."""
        if self.trouble:
            return f"NVML {'failed' if self.failed else 'not available'}: {self.trouble}"
        return "" if self.devices else "none"


class Nvml:
    """The library, started once for all polls; after a failure it is started again."""

    def __init__(self) -> None:
        self._library: Any = None
        self._failure = Gpus()
        self._retry_at = 0.0

    def read(self) -> Gpus:
        """All devices now. Never raises."""
        if self._library is None and time.monotonic() >= self._retry_at:
            self._library, self._failure = _start()
            self._retry_at = time.monotonic() + RETRY
        nvml = self._library
        if nvml is None:
            return self._failure
        try:
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:  # a driver that went away: from now on as after a failed start
            self._library, self._failure = None, Gpus(trouble=_reason(error), failed=True)
            self._retry_at = time.monotonic() + RETRY
            with contextlib.suppress(nvml.NVMLError):
                nvml.nvmlShutdown()
            return self._failure
        return Gpus(tuple(_gpu(nvml, index) for index in range(count)))


def _start() -> tuple[Any, Gpus]:
    """The library, or why there is none."""
    try:
        import pynvml
    except ImportError:
        return None, Gpus(trouble=NOT_INSTALLED)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            return None, Gpus(trouble=NO_DRIVER)
        return None, Gpus(trouble=_reason(error), failed=True)
    return pynvml, Gpus()


_nvml = Nvml()


def read_gpus() -> Gpus:
    """All devices now, by one library for the whole process. Never raises."""
    return _nvml.read()


def _gpu(nvml: Any, index: int) -> Gpu:
    """One device; where it is lost, perhaps while it is asked, with nothing but its name and the reason."""
    name = f"device {index}"
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)

        def ask(function: str, *arguments: Any) -> Any:
            return _asked(nvml, lambda: getattr(nvml, function)(handle, *arguments))

        found = ask("nvmlDeviceGetName")
        name = found.decode(errors="replace") if isinstance(found, bytes) else found or name
        rates, memory = ask("nvmlDeviceGetUtilizationRates"), ask("nvmlDeviceGetMemoryInfo")
        milliwatts = ask("nvmlDeviceGetPowerUsage")
        processes = ask("nvmlDeviceGetComputeRunningProcesses")
        return Gpu(
            name=name,
            load=rates.gpu if rates is not None else None,
            memory_used=memory.used if memory is not None else None,
            memory_total=memory.total if memory is not None else None,
            temperature=ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            power=milliwatts / 1000 if milliwatts is not None else None,
            processes=tuple(GpuProcess(one.pid, one.usedGpuMemory) for one in processes or ())
            if processes is not None
            else None,
        )
    except nvml.NVMLError as error:
        return Gpu(name, trouble=_reason(error))


def _asked(nvml: Any, ask: Callable[[], Any]) -> Any:
    """The answer; None where the device has none. Raises NVMLError where it cannot be reached any more."""
    try:
        return ask()
    except nvml.NVMLError as error:
        if error.value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED, nvml.NVML_ERROR_UNINITIALIZED):
            raise
        return None


def _reason(error: Exception) -> str:
    return str(error).rstrip(".")


def format_gpus(found: Gpus) -> str:
    """`gpu0 87% 6.1G` for the top line; that NVML fails; empty where nothing is known of any GPU, or there is none."""
    if found.failed:
        return "gpu: NVML failed"
    parts = []
    for index, gpu in enumerate(found.devices):
        load = f" {gpu.load}%" if gpu.load is not None else ""
        memory = f" {gpu.memory_used / 1e9:.1f}G" if gpu.memory_used is not None else ""
        parts.append(f"gpu{index}{' lost' if gpu.trouble else load + memory}")
    return " ".join(parts)
