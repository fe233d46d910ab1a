"""Which engines run on this machine, and in which workspace: known by what they are, not by a path that can be renamed.

An engine says in its arguments that it is one, and keeps the folder of its workspace open: device and inode of that
folder stay the same when the workspace is renamed, is reached through a link, or has lost its lock file.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.contract.files.folders import Folder
from engine.contract.machine.process_identity import pids, start_of

LOCK_FILE = ".medtui.lock"  # in `outputs/`
SLOT_LOCK = re.compile(r"\.medtui\.slot-([0-9]{1,3})\.lock")  # next to it, of the engines of a suite or queue
Identity = tuple[int, int]  # device and inode
_PROC = Path("/proc")


@dataclass(frozen=True)
class RunningEngine:
    """An engine as found in the process table."""

    pid: int
    started: float  # as `start_of` returns it
    arguments: tuple[str, ...]
    holds_lock: bool | None  # has it a workspace's lock, be its file removed or not; None where that cannot be seen

    @property
    def root(self) -> str | None:
        """The workspace that it was started for, as the path was then."""
        return workspace_argument(self.arguments)


def workspace_argument(arguments: Iterable[str]) -> str | None:
    """The path in `-m engine --workspace PATH`; None for what is no engine."""
    words = list(arguments)
    for at, word in enumerate(words):
        if word == "-m" and words[at + 1 : at + 3] == ["engine", "--workspace"] and len(words) > at + 3:
            return words[at + 3]
    return None


def engines_in(outputs: Folder) -> list[RunningEngine]:
    """The running engines that work in the workspace with this `outputs/`; this process is left out."""
    engines = (engine for pid in pids() if pid != os.getpid() and (engine := running_engine(pid)) is not None)
    return [engine for engine in engines if works_in(engine, outputs)]


def running_engine(pid: int) -> RunningEngine | None:
    """The process as an engine; None where it is none, is gone, or is a zombie."""
    arguments = arguments_of(pid)
    if workspace_argument(arguments) is None:
        return None
    try:
        started = start_of(pid)
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return None
    except (psutil.Error, OSError, ValueError, RuntimeError):
        return None
    return RunningEngine(pid, started, tuple(arguments), _holds_lock(pid))


def works_in(engine: RunningEngine, outputs: Folder) -> bool:
    """Is that its workspace? By the folders that it has open; by the path it was given where these cannot be seen."""
    open_there = _open_folders(engine.pid)
    if open_there:
        return bool(open_there & {outputs.identity, Folder(outputs.path.parent).identity})
    root = engine.root
    if root is None:
        return False
    if root == str(outputs.path.parent):
        return True
    with contextlib.suppress(OSError):
        return Path(root).samefile(outputs.path.parent) or Path(root, "outputs").samefile(outputs.path)
    return False


def arguments_of(pid: int) -> list[str]:
    """Empty for a process that is gone, or that has none."""
    try:
        if sys.platform != "linux":
            return psutil.Process(pid).cmdline()
        words = _PROC.joinpath(str(pid), "cmdline").read_bytes().removesuffix(b"\0").split(b"\0")
    except (OSError, psutil.Error, ValueError, OverflowError):
        return []
    return [os.fsdecode(word) for word in words]


def pids_with_lock(found: os.stat_result) -> list[int]:
    """The processes that took a lock on this file, by the kernel's list; none where it does not say."""
    return [pid for pid, inode in _flocks() if inode == found.st_ino]


def mapped_files(pid: int) -> list[str]:
    """The files that a process has in its memory as they are on disk; none where that cannot be seen."""
    try:
        lines = _PROC.joinpath(str(pid), "maps").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [words[5].removesuffix(" (deleted)") for line in lines if len(words := line.split(maxsplit=5)) == 6]


def shares_pid_namespace(pid: int) -> bool:
    """Do process numbers mean the same to that process as here? True where there are no namespaces to ask for."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - links to nowhere
    except FileNotFoundError:
        return not _PROC.joinpath("self").exists()
    except OSError:
        return False


def _flocks() -> Iterator[tuple[int, int]]:
    """(pid, inode) of each flock that is held. `1: FLOCK ADVISORY WRITE 4711 fd:01:393217 0 EOF`."""
    try:
        lines = _PROC.joinpath("locks").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK":  # one that waits has `->` there
            with contextlib.suppress(ValueError):
                yield int(words[4]), int(words[5].rpartition(":")[2])


def _holds_lock(pid: int) -> bool | None:
    locked = [inode for owner, inode in _flocks() if owner == pid]
    if not locked:
        return False if _PROC.joinpath("locks").exists() else None
    names = _open_files(pid)
    if names is None:  # another user's
        return None
    return any(_is_lock(name.removesuffix(" (deleted)").rpartition("/")[2]) for name, _ in names)


def _is_lock(name: str) -> bool:
    return name == LOCK_FILE or SLOT_LOCK.fullmatch(name) is not None


def _open_folders(pid: int) -> set[Identity]:
    """The folders that a process has open; none where they cannot be seen."""
    return {identity for name, identity in _open_files(pid) or [] if identity is not None}


def _open_files(pid: int) -> list[tuple[str, Identity | None]] | None:
    """Where its descriptors lead, as names now, and of folders what they are; None where that cannot be seen."""
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - names are all that is needed
    except OSError:
        return None
    found: list[tuple[str, Identity | None]] = []
    for number in numbers:
        with contextlib.suppress(OSError):
            link = f"/proc/{pid}/fd/{number}"
            status = os.stat(link)  # noqa: PTH116
            is_folder = stat.S_ISDIR(status.st_mode)
            identity = (status.st_dev, status.st_ino) if is_folder else None
            found.append((os.readlink(link), identity))  # noqa: PTH115
    return found
