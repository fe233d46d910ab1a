"""Orphaned engines: those of this user and workspace that hold no lock and whose console is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from engine.contract.files.folders import Folder
from engine.contract.machine.engines import (
    arguments_of,
    running_engine,
    shares_pid_namespace,
    works_in,
    workspace_argument,
)
from engine.contract.machine.process_identity import clock, pids, start_of
from engine.contract.machine.scheduler import SchedulerJob, scheduler_job
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import list_runs
from engine.contract.store.status import read_status
from engine.contract.store.workspace import Workspace
from medtui.client.process_group import EngineGroup, Process

TERM_GRACE = 5.0  # seconds
KILL_GRACE = 2.0  # seconds
MIN_AGE = 5.0  # seconds; an engine that has just started has not taken its lock yet


@dataclass(frozen=True)
class ProcessInfo:
    """A process, as one scan of the machine shows it."""

    pid: int
    started: float  # as given by `start_of`
    uid: int
    arguments: tuple[str, ...]
    memory: int = 0  # bytes, resident
    is_engine_here: bool = False  # of this workspace
    holds_lock: bool | None = False  # a workspace's lock, be its file removed or not; None where that cannot be seen
    shares_namespace: bool = True  # do process numbers mean the same to it?


@dataclass(frozen=True)
class OrphanedEngine:
    pid: int
    started: float  # as given by `start_of`
    memory: int  # bytes, resident

    @property
    def age(self) -> float:
        return max(0.0, clock() - self.started)


def find_orphans(workspace: Workspace) -> list[OrphanedEngine]:
    """The orphaned engines of a workspace now, oldest first."""
    table = scan_processes(workspace)
    if not any(one.is_engine_here for one in table):
        return []
    return select_orphans(table, os.getuid(), _engines_with_runs(workspace), clock())


def select_orphans(
    processes: Iterable[ProcessInfo], uid: int, at_work: Iterable[Process], now: float
) -> list[OrphanedEngine]:
    """Which processes of a table are orphaned engines. Pure.

    Where it cannot be known, it is not listed: an engine that does not name its console, whose process numbers are of
    another namespace, whose locks cannot be seen. `at_work`: engines that a lock or a run names as its own.
    """
    table, busy = list(processes), list(at_work)
    found = []
    for one in table:
        console = console_of(one.arguments)
        if (
            one.uid == uid
            and one.is_engine_here
            and one.shares_namespace
            and one.holds_lock is False
            and console is not None
            and not any(console.is_same(other.pid, other.started) for other in table)
            and not any(engine.is_same(one.pid, one.started) for engine in busy)
            and now - one.started > MIN_AGE
        ):
            found.append(OrphanedEngine(one.pid, one.started, one.memory))
    return sorted(found, key=lambda orphan: orphan.started)


def _engines_with_runs(workspace: Workspace) -> list[Process]:
    """The engines that the lock's text, or the status of a run that has not ended, names."""
    holder = LockState.read(workspace.lock_file).holder
    named = [Process(holder.pid, holder.started)] if holder is not None else []
    statuses = (read_status(run) for run in list_runs(workspace.outputs))
    return named + [Process(one.pid, one.started) for one in statuses if one is not None and one.outcome is None]


def console_of(arguments: Iterable[str]) -> Process | None:
    """Who started an engine, by its argument `--console PID:STARTED`; None where it does not name one."""
    words = list(arguments)
    try:
        pid, _, started = words[words.index("--console") + 1].partition(":")
        return Process(int(pid), float(started))
    except (ValueError, IndexError):
        return None


def scan_processes(workspace: Workspace) -> list[ProcessInfo]:
    """Every process that may be inspected; for engines, also their workspace and lock."""
    found = []
    for pid in pids():
        with contextlib.suppress(psutil.Error, OSError, ValueError, RuntimeError):  # gone meanwhile, or not ours to see
            arguments = tuple(arguments_of(pid))
            if workspace_argument(arguments) is None:
                if not _is_zombie(pid):
                    found.append(ProcessInfo(pid, start_of(pid), -1, arguments))
            elif (one := _engine_info(pid, workspace.folder)) is not None:
                found.append(one)
    return found


def _is_zombie(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _engine_info(pid: int, outputs: Folder) -> ProcessInfo | None:
    engine = running_engine(pid)
    if engine is None:
        return None
    process = psutil.Process(pid)
    with process.oneshot():
        return ProcessInfo(
            pid,
            engine.started,
            process.uids().real,
            engine.arguments,
            process.memory_info().rss,
            works_in(engine, outputs),
            engine.holds_lock,
            shares_pid_namespace(pid),
        )


def end_orphan(orphan: OrphanedEngine, workspace: Workspace, job: SchedulerJob | None = None) -> str:
    """SIGTERM to it and what it forked, then SIGKILL; by pid and start time. Returns what happened, as text.

    On a cluster (`job`, else as the environment says) nothing is ended: the scheduler manages its processes.
    """
    if (job := job or scheduler_job()) is not None:
        return f"engine {orphan.pid} is left alone: {job} manages its processes"
    group = EngineGroup(orphan.pid, orphan.started, workspace.folder)
    if not group.living():
        return f"engine {orphan.pid} is gone"
    for number, grace in ((signal.SIGTERM, TERM_GRACE), (signal.SIGKILL, KILL_GRACE)):
        try:
            group.signal(number)
        except PermissionError:
            return f"engine {orphan.pid} belongs to another user"
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline:
            if not group.living():
                return f"engine {orphan.pid} ended"
            time.sleep(0.05)
    return f"engine {orphan.pid} could not be ended"
