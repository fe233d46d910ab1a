"""What the machine is doing now: processors, memory, disk, graphics. Looked at in the background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from medtui.machine.gpu import Gpu, gpus


@dataclass(frozen=True)
class Hardware:
    cores: tuple[float, ...]  # percent each
    memory_used: int  # bytes
    memory_total: int  # bytes
    disk_free: int | None  # bytes, where the workspace is
    disk_total: int | None  # bytes
    gpus: tuple[Gpu, ...]

    @property
    def load(self) -> float:
        """Percent, over all cores."""
        return sum(self.cores) / len(self.cores) if self.cores else 0.0


def look(workspace: Path) -> Hardware:
    """Since the last look; the first says nothing about load."""
    memory = psutil.virtual_memory()
    try:
        disk = psutil.disk_usage(str(workspace))
        free, total = int(disk.free), int(disk.total)
    except OSError:
        free = total = None  # type: ignore[assignment]
    return Hardware(
        cores=tuple(psutil.cpu_percent(percpu=True)),
        memory_used=int(memory.total - memory.available),
        memory_total=int(memory.total),
        disk_free=free,
        disk_total=total,
        gpus=tuple(gpus()),
    )
