"""Current use of the machine: processors, memory, disk, GPUs. Polled in the background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.contract.machine.limits import DiskSpace, disk_space, memory
from medtui.machine.gpu import Gpu, gpus


@dataclass(frozen=True)
class Hardware:
    cores: tuple[float, ...]  # percent each
    memory_used: int  # bytes
    memory_total: int  # bytes; of the smallest limit, where there is one; 0 is not known
    disk_free: int | None  # bytes, where the workspace is
    disk_total: int | None  # bytes
    gpus: tuple[Gpu, ...]

    @property
    def load(self) -> float:
        """Percent, over all cores."""
        return sum(self.cores) / len(self.cores) if self.cores else 0.0


def read_hardware(workspace: Path) -> Hardware:
    """Load since the last poll; the first poll has none."""
    found = memory()
    total = (found.limit.bytes if found.limit else found.total) or 0
    try:
        disk: DiskSpace | None = disk_space(workspace)
    except OSError:
        disk = None
    return Hardware(
        cores=_load(),
        memory_used=max(0, total - (total if found.available is None else found.available)),
        memory_total=total,
        disk_free=disk.bytes if disk else None,
        disk_total=disk.total if disk else None,
        gpus=tuple(gpus()),
    )


def _load() -> tuple[float, ...]:
    """Percent of each core; empty where the system does not say."""
    try:
        return tuple(psutil.cpu_percent(percpu=True))
    except Exception:  # an unexpected /proc: psutil raises what its parsing comes to, too
        return ()
