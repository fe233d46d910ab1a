"""Ghosts: engines of this user and workspace that hold no lock and whose console is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.contract.lock import is_locked, read_holder
from engine.contract.scheduler import SchedulerJob, scheduler_job
from engine.contract.workspace import Workspace
from medtui.machine.process_group import EngineGroup, Process, is_engine_of

TERM_GRACE = 5.0  # seconds
KILL_GRACE = 2.0  # seconds
YOUNG = 5.0  # seconds; an engine that has just started has not taken its lock yet


@dataclass(frozen=True)
class Seen:
    """A process as one look at the machine shows it."""

    pid: int
    started: float  # Unix seconds
    uid: int
    arguments: tuple[str, ...]
    memory: int = 0  # bytes, resident
    has_lock_open: bool = False  # the workspace's lock file is one of its open files


@dataclass(frozen=True)
class Ghost:
    pid: int
    started: float  # Unix seconds
    memory: int  # bytes, resident

    @property
    def age(self) -> float:
        return max(0.0, time.time() - self.started)


def ghosts(workspace: Workspace) -> list[Ghost]:
    """The ghosts of a workspace now, oldest first."""
    holder = read_holder(workspace.lock_file) if is_locked(workspace.lock_file) else None
    known = Process(holder.pid, holder.started) if holder is not None else None
    return ghosts_among(look(workspace), os.getuid(), workspace.root, known, time.time())


def ghosts_among(processes: Iterable[Seen], uid: int, root: Path, holder: Process | None, now: float) -> list[Ghost]:
    """Which processes of a table are ghosts. Pure.

    Where it cannot be known, it is none: an engine that does not say who its console is, or that has the lock file
    open, whatever the lock's text says.
    """
    table = list(processes)
    found = []
    for one in table:
        console = console_of(one.arguments)
        if (
            one.uid == uid
            and is_engine_of(list(one.arguments), root)
            and console is not None
            and not any(console.is_same(other.pid, other.started) for other in table)
            and not one.has_lock_open
            and not (holder is not None and holder.is_same(one.pid, one.started))
            and now - one.started > YOUNG
        ):
            found.append(Ghost(one.pid, one.started, one.memory))
    return sorted(found, key=lambda ghost: ghost.started)


def console_of(arguments: Iterable[str]) -> Process | None:
    """Who started an engine, by its argument `--console PID:STARTED`; None where it does not say."""
    words = list(arguments)
    try:
        pid, _, started = words[words.index("--console") + 1].partition(":")
        return Process(int(pid), float(started))
    except (ValueError, IndexError):
        return None


def look(workspace: Workspace) -> list[Seen]:
    """Every process that may be looked at, and whether it has the lock file open."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # gone meanwhile, or not ours to see
            with process.oneshot():
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                arguments = tuple(process.cmdline())
                uid, started = process.uids().real, process.create_time()
                engine = is_engine_of(list(arguments), workspace.root)
                memory = process.memory_info().rss if engine else 0
            has_lock_open = engine and _has_open(process.pid, workspace.lock_file)
            found.append(Seen(process.pid, started, uid, arguments, memory, has_lock_open))
    return found


def end(ghost: Ghost, workspace: Workspace, job: SchedulerJob | None = None) -> str:
    """SIGTERM to it and what it forked, then SIGKILL; by pid and start time. What happened, in words.

    On a cluster (`job`, else as the environment says) nothing is ended: the scheduler looks after its processes.
    """
    if (job := job or scheduler_job()) is not None:
        return f"engine {ghost.pid} is left alone: {job} looks after its processes"
    group = EngineGroup(ghost.pid, ghost.started, workspace.root)
    if not group.living():
        return f"engine {ghost.pid} is gone"
    for number, grace in ((signal.SIGTERM, TERM_GRACE), (signal.SIGKILL, KILL_GRACE)):
        try:
            group.signal(number)
        except PermissionError:
            return f"engine {ghost.pid} is not ours to end"
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline:
            if not group.living():
                return f"engine {ghost.pid} ended"
            time.sleep(0.05)
    return f"engine {ghost.pid} does not end"


def _has_open(pid: int, path: Path) -> bool:
    """Is the file open there? True where that cannot be seen: it might be."""
    try:
        wanted = path.stat()
    except OSError:
        return False
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    except OSError:
        return True
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            found = descriptor.stat()
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False
