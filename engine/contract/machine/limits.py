"""What this process may use of the machine: memory, cores, disk space. Read in one way for all callers.

A job rarely has the whole machine. Its memory is the smallest of what is free, what its cgroups leave (v1 and v2, each
from its own upward to the mount) and `ulimit -v` or `-d`; its cores are those of its affinity, and no more than the
cgroups' CPU quota. Unknown is None.
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path("/")
KERNEL_KILLS = "/proc/vmstat"
ADDRESS_SPACE = "ulimit -v"
NO_LIMIT = 1 << 60  # bytes; v1 writes the largest page number for "none"


@dataclass(frozen=True)
class Limit:
    """One bound on memory."""

    name: str  # where it comes from: "memory.max of cgroup /slurm/job_7", "ulimit -v"
    bytes: int
    used: int
    folder: Path | None = None  # of the cgroup
    peak: int | None = None  # the most that was ever used, where the kernel keeps it

    @property
    def left(self) -> int:
        return max(0, self.bytes - self.used)

    def __str__(self) -> str:
        return f"{self.name}, {gigabytes(self.bytes)}"


@dataclass(frozen=True)
class Memory:
    """What is available without swapping or being killed."""

    total: int | None  # bytes, of the machine or the smallest limit
    available: int | None  # bytes
    limit: Limit | None = None  # what decides `available`, where that is not the machine


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"


def memory(root: Path = ROOT) -> Memory:
    """Never raises. `root`: where /proc and /sys are."""
    total, available = _machine(root)
    limits = memory_limits(root)
    totals = [size for size in (total, *(limit.bytes for limit in limits)) if size is not None]
    tightest = min(limits, key=lambda limit: limit.left, default=None)
    if tightest is None or (available is not None and available <= tightest.left):
        return Memory(min(totals, default=None), available)
    return Memory(min(totals), tightest.left, tightest)


def memory_limits(root: Path = ROOT) -> list[Limit]:
    """Every bound on this process's memory but the machine's own."""
    return [*_cgroup_limits(root), *_resource_limits(root)]


def address_space() -> Limit | None:
    """What `ulimit -v` leaves, where there is such a limit: libraries count too, as far as they are mapped."""
    return next((one for one in _resource_limits(ROOT) if one.name == ADDRESS_SPACE), None)


def cores(root: Path = ROOT) -> int:
    """How many this process can keep busy: at least 1."""
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        count = os.cpu_count() or 1
    quota = cpu_quota(root)
    return count if quota is None else max(1, min(count, math.ceil(quota)))


def cpu_quota(root: Path = ROOT) -> float | None:
    """Cores that the cgroups allow at a time, the smallest on the way upward; None without a quota."""
    found = [quota for folder in _folders(root, "cpu") if (quota := _quota_of(folder)) is not None]
    return min(found, default=None)


def oom_kills(root: Path = ROOT) -> dict[str, int]:
    """How many processes the kernel has killed so far for want of memory: in our cgroups, and in all."""
    files = [folder / name for folder in _folders(root, "memory") for name in ("memory.events", "memory.oom_control")]
    counts = {_shown(file, root): _table(file).get("oom_kill") for file in (*files, root / KERNEL_KILLS.lstrip("/"))}
    return {name: count for name, count in counts.items() if count is not None}


@dataclass(frozen=True)
class DiskSpace:
    """What a disk has left, for who is not its administrator."""

    bytes: int
    files: int | None  # inodes; None where the file system makes them as it needs them
    total: int  # bytes


def disk_space(folder: os.PathLike[str] | str) -> DiskSpace:
    """Raises OSError."""
    found = os.statvfs(folder)
    return DiskSpace(
        found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None, found.f_blocks * found.f_frsize
    )


def file_size_limit() -> int | None:
    """Bytes that one file may have, by `ulimit -f`; None without a limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if soft == resource.RLIM_INFINITY else soft


def is_noexec(folder: os.PathLike[str] | str) -> bool:
    """Is it mounted noexec? Then a library that was compiled into it cannot be loaded. False where that is unknown."""
    try:
        return bool(os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 8))
    except OSError:
        return False


# ---- the machine -----------------------------------------------------------------------------------------------------


def _machine(root: Path) -> tuple[int | None, int | None]:
    if root == ROOT:
        try:
            found = psutil.virtual_memory()
            return int(found.total), int(found.available)
        except Exception:  # psutil raises whatever its parsing of an unexpected /proc leads to
            pass
    table = {name.rstrip(":"): 1024 * size for name, size in _table(root / "proc" / "meminfo").items()}
    return table.get("MemTotal"), table.get("MemAvailable", table.get("MemFree"))


def _resource_limits(root: Path) -> Iterator[Limit]:
    size = {name.rstrip(":"): 1024 * pages for name, pages in _table(root / "proc" / "self" / "status").items()}
    for number, name, used in (
        (resource.RLIMIT_AS, ADDRESS_SPACE, "VmSize"),
        (resource.RLIMIT_DATA, "ulimit -d", "VmData"),
    ):
        soft, _ = resource.getrlimit(number)
        if soft != resource.RLIM_INFINITY:
            yield Limit(name, soft, size.get(used, 0))


# ---- cgroups ---------------------------------------------------------------------------------------------------------


def _cgroup_limits(root: Path) -> Iterator[Limit]:
    for folder in _folders(root, "memory"):
        read = {name: _number(folder / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")}
        limits = {name: limit for name, limit in read.items() if limit is not None and limit < NO_LIMIT}
        if not limits:  # as of most: the rest need not be read
            continue
        usage = _number(folder / "memory.current")
        if usage is None:
            usage = _number(folder / "memory.usage_in_bytes")
        peaks = (_number(folder / peak) for peak in ("memory.peak", "memory.max_usage_in_bytes"))
        peak = next((size for size in peaks if size is not None), None)
        stat = _table(folder / "memory.stat")
        # what was read from files and not touched since is given back before anything is refused
        cached = stat.get("total_inactive_file", stat.get("inactive_file", 0))
        for name, limit in limits.items():
            where = f"{name} of cgroup {_shown(folder, root)}"
            yield Limit(where, limit, max(0, (usage or 0) - cached), folder, peak)


def _shown(folder: Path, root: Path) -> str:
    return "/" + folder.relative_to(root).as_posix()


def _quota_of(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()
    if len(words) != 2:
        words = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if all(word.isascii() and word.isdecimal() for word in words) and int(words[1]) > 0:
        return int(words[0]) / int(words[1])
    return None  # "max", -1, or no such file


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The cgroups that this process is in, for a controller: its own, and each above up to the mount."""
    for mounted, shown, controllers in _mounts(root):
        for line in _text(root / "proc" / "self" / "cgroup").splitlines():
            _, names, path = [*line.split(":", 2), "", ""][:3]
            ours = not names if controllers is None else controller in names.split(",") and controller in controllers
            if ours:
                yield from _upward(root / mounted.lstrip("/"), path, shown)


def _upward(mount: Path, path: str, shown: str) -> Iterator[Path]:
    """From a process's cgroup to the mount's own. `shown`: which cgroup the mount shows, `/` but in some containers.

    A path that is not below it is another namespace's: then the mount itself is all that is seen of it.
    """
    parts = Path(path).parts[1:]
    above = Path(shown).parts[1:]
    parts = parts[len(above) :] if parts[: len(above)] == above else ()
    if ".." in parts:
        parts = ()
    for count in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:count])


def _mounts(root: Path) -> Iterator[tuple[str, str, tuple[str, ...] | None]]:
    """Where cgroups are mounted, which of them is shown there, and the controllers; None for v2."""
    found = False
    for line in _text(root / "proc" / "self" / "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        words, kind = before.split(), after.split()
        if len(words) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        found = True
        yield words[4], words[3], None if kind[0] == "cgroup2" else tuple(kind[2].split(","))
    if not found:
        yield "/sys/fs/cgroup", "/", None
        yield "/sys/fs/cgroup/memory", "/", ("memory",)
        yield "/sys/fs/cgroup/cpu", "/", ("cpu",)


# ---- files of the kernel ---------------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and an integer."""
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isascii() and row[1].isdecimal()}
