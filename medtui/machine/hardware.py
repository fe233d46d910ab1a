"""Current use of the machine: processors, memory, disk, GPUs. Polled in the background."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from engine.contract.machine.limits import DiskSpace, disk_space, memory
from medtui.machine.gpu import Gpus, read_gpus

FIRST = 0.2  # seconds between the two samples of a first poll
STALE = 5.0  # seconds; a load since longer ago is not the present one


@dataclass(frozen=True)
class Hardware:
    cores: tuple[float, ...]  # percent each
    memory_used: int  # bytes
    memory_total: int  # bytes; of the smallest limit, where there is one; 0 is not known
    disk_free: int | None  # bytes, where the workspace is
    disk_total: int | None  # bytes
    gpus: Gpus

    @property
    def load(self) -> float:
        """Percent, over all cores."""
        return sum(self.cores) / len(self.cores) if self.cores else 0.0


class HardwareReader:
    """Polls the machine; keeps what the load of the next poll is measured against.

    psutil keeps that by thread, and polls come from any thread of a pool: the first of each would read 0 %.
    """

    def __init__(self) -> None:
        self._before: tuple[float, list[Any]] | None = None  # when (monotonic seconds), and the times of each core

    def __call__(self, workspace: Path) -> Hardware:
        """Never raises. A first poll, and one after a pause, takes `FIRST` seconds."""
        found = memory()
        total = (found.limit.bytes if found.limit else found.total) or 0
        try:
            disk: DiskSpace | None = disk_space(workspace)
        except OSError:
            disk = None
        return Hardware(
            cores=self._load(),
            memory_used=max(0, total - (total if found.available is None else found.available)),
            memory_total=total,
            disk_free=disk.bytes if disk else None,
            disk_total=disk.total if disk else None,
            gpus=read_gpus(),
        )

    def _load(self) -> tuple[float, ...]:
        """Percent of each core; empty where the system does not say."""
        try:
            if self._before is None or time.monotonic() - self._before[0] > STALE:
                self._before = time.monotonic(), psutil.cpu_times(percpu=True)
                time.sleep(FIRST)
            before, now = self._before[1], psutil.cpu_times(percpu=True)
        except Exception:  # an unexpected /proc: psutil raises what its parsing comes to, too
            return ()
        self._before = time.monotonic(), now
        return tuple(_busy(*pair) for pair in zip(before, now, strict=False))


def _busy(before: Sequence[float], now: Sequence[float]) -> float:
    """Percent of the time from one reading of a core's counters to the next that it was not idle."""
    names = now._fields  # type: ignore[attr-defined]  # of psutil's tuples, which differ by system
    passed = {name: max(0.0, new - old) for name, old, new in zip(names, before, now, strict=True)}
    for name in ("guest", "guest_nice"):  # Linux counts these in `user` and `nice`, too
        passed.pop(name, None)
    total = sum(passed.values())
    idle = passed.get("idle", 0.0) + passed.get("iowait", 0.0)
    return min(100.0, 100.0 * (total - idle) / total) if total > 0 else 0.0
