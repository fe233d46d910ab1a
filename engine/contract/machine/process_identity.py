"""Identifying a process: a pid alone can be reused, a pid with its start time cannot.

Start times are told in seconds since boot where the kernel gives them so (Linux): Unix seconds of the same start differ
before and after the machine's clock was set, and a running engine would be taken for another process.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from engine.contract.files.paths import is_there

START_TIME_TOLERANCE = 0.05  # seconds; two readings of one process's start may differ by a clock tick


@dataclass(frozen=True)
class ProcessIdentity:
    """A process on a host, since a boot."""

    pid: int
    started: float  # seconds, as `start_of` returns it
    host: str
    boot: str

    @property
    def is_here(self) -> bool:
        """Could this process be seen from here: same host, same boot, same pid namespace?"""
        return self.host == socket.gethostname() and self.boot == boot_id()

    def is_same(self, other: ProcessIdentity) -> bool:
        """Is it that process? Start times may differ by a clock tick."""
        elsewhere = (self.pid, self.host, self.boot) != (other.pid, other.host, other.boot)
        return not elsewhere and abs(self.started - other.started) <= START_TIME_TOLERANCE

    def is_alive(self) -> bool | None:
        """Does it live? None where that cannot be known: another host or an earlier boot of a namesake."""
        if not self.is_here or not _processes_can_be_seen():
            return None
        return same_process(self.pid, self.started) is not None

    def is_suspended(self) -> bool:
        """Is it known to be stopped by a signal, until another continues it? Not of a process that cannot be seen."""
        if not self.is_here or not _processes_can_be_seen():
            return False
        process = same_process(self.pid, self.started)
        try:
            return process is not None and process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        except Exception:  # it has just ended, or an unexpected /proc, of which psutil lets anything through
            return False


def this_process() -> ProcessIdentity:
    return process_here(os.getpid())


def process_here(pid: int) -> ProcessIdentity:
    """A living process of this machine: ourselves, or a child. Where /proc is missing, it started now."""
    try:
        started = start_of(pid)
    except psutil.Error:
        started = clock()
    return ProcessIdentity(pid, started, socket.gethostname(), boot_id())


def _processes_can_be_seen() -> bool:
    return sys.platform != "linux" or is_there(Path("/proc/self/stat"))


def start_of(pid: int) -> float:
    """When a process started, in seconds: to be compared, not shown. Raises psutil.Error when there is none."""
    if sys.platform != "linux":
        return psutil.Process(pid).create_time()
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()  # the name may hold anything
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")  # the 22nd of proc(5): starttime
    except PermissionError:
        raise psutil.AccessDenied(pid) from None
    except (OSError, IndexError):
        raise psutil.NoSuchProcess(pid) from None


def clock() -> float:
    """Now, on the clock of `start_of`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.time()


def same_process(pid: int, started: float) -> psutil.Process | None:
    """The living process with this pid *and* start time; a zombie is not living."""
    try:
        process = psutil.Process(pid)
        same = abs(start_of(pid) - started) <= START_TIME_TOLERANCE
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except Exception:  # gone, no process, or an unexpected /proc, of which psutil lets anything through
        return None


def pids() -> list[int]:
    """Of all processes that can be seen; none where the system does not say."""
    try:
        return psutil.pids()
    except Exception:  # psutil lets through whatever a missing or strange /proc makes of its parsing
        return []


def _boot_time() -> str:
    try:
        return f"{psutil.boot_time():.0f}"
    except Exception:  # an unexpected /proc: psutil raises what its parsing leads to
        return "unknown boot"


@cache
def boot_id() -> str:
    """Within which a pid means the same: it changes with every boot, and from one pid namespace to another."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _boot_time()
    try:
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - a link to nowhere
    except OSError:
        return boot
