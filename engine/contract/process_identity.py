"""Which process is meant: a pid alone can be reused, a pid with its start time cannot."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

START_TIME_TOLERANCE = 0.05  # seconds; two readings of one process's start may differ by a clock tick


@dataclass(frozen=True)
class ProcessIdentity:
    """A process on a host, since a boot."""

    pid: int
    started: float  # Unix seconds
    host: str
    boot: str

    @property
    def is_here(self) -> bool:
        """Could this process be seen from here: same host, same boot, same pid namespace?"""
        return self.host == socket.gethostname() and self.boot == boot_id()

    def is_alive(self) -> bool | None:
        """Does it live? None where that cannot be known: another host or an earlier boot of a namesake."""
        if not self.is_here:
            return None
        return same_process(self.pid, self.started) is not None


def this_process() -> ProcessIdentity:
    return ProcessIdentity(os.getpid(), psutil.Process().create_time(), socket.gethostname(), boot_id())


def same_process(pid: int, started: float) -> psutil.Process | None:
    """The living process with this pid *and* start time; a zombie is not living."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) <= START_TIME_TOLERANCE
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, ValueError, OverflowError):  # gone, or numbers that are no process
        return None


@cache
def boot_id() -> str:
    """Within which a pid means the same: it changes with every boot, and from one pid namespace to another."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{psutil.boot_time():.0f}"
    try:
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - a link to nowhere
    except OSError:
        return boot
