"""NVIDIA GPUs, where nvidia-ml-py is installed; none where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """None is unknown."""

    name: str
    load: int | None  # percent
    memory_used: int | None  # bytes
    memory_total: int | None  # bytes
    temperature: int | None  # degrees Celsius
    power: float | None = None  # watts


@cache
def _nvml() -> Any:
    """The initialised library; None without it or without a driver."""
    try:
        import pynvml  # type: ignore[import-not-found, unused-ignore]

        pynvml.nvmlInit()
    except Exception:  # the package is not there, or finds no driver: no GPU to show either way
        return None
    return pynvml


def gpus() -> list[Gpu]:
    nvml = _nvml()
    if nvml is None:
        return []
    try:
        return [_gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(nvml.nvmlDeviceGetCount())]
    except Exception:  # a driver that went away
        return []


def _gpu(nvml: Any, handle: Any) -> Gpu:
    def ask(function: str, *arguments: Any) -> Any:
        try:
            return getattr(nvml, function)(handle, *arguments)
        except Exception:  # a card may not know its temperature
            return None

    name, rates, memory = ask("nvmlDeviceGetName"), ask("nvmlDeviceGetUtilizationRates"), ask("nvmlDeviceGetMemoryInfo")
    milliwatts = ask("nvmlDeviceGetPowerUsage")
    return Gpu(
        name=name.decode() if isinstance(name, bytes) else str(name or "GPU"),
        load=rates.gpu if rates else None,
        memory_used=memory.used if memory else None,
        memory_total=memory.total if memory else None,
        temperature=ask("nvmlDeviceGetTemperature", 0),
        power=milliwatts / 1000 if milliwatts is not None else None,
    )


def format_gpus(found: Sequence[Gpu]) -> str:
    """`gpu0 87% 6.1G` for the top line; empty without a GPU."""
    parts = []
    for index, gpu in enumerate(found):
        load = f" {gpu.load}%" if gpu.load is not None else ""
        memory = f" {gpu.memory_used / 1e9:.1f}G" if gpu.memory_used is not None else ""
        parts.append(f"gpu{index}{load}{memory}")
    return " ".join(parts)
