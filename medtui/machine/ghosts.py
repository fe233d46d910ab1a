"""Ghosts: engines of this user and workspace that hold no lock and whose console is gone."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.contract.lock import is_locked, read_holder
from engine.contract.process_identity import same_process
from engine.contract.workspace import Workspace

TERM_GRACE = 5.0  # seconds
KILL_GRACE = 2.0  # seconds
YOUNG = 5.0  # seconds; an engine that has just started has not taken its lock yet


@dataclass(frozen=True)
class Ghost:
    pid: int
    started: float  # Unix seconds
    memory: int  # bytes, resident

    @property
    def age(self) -> float:
        return max(0.0, time.time() - self.started)


def ghosts(workspace: Workspace) -> list[Ghost]:
    """Never the lock's holder, never an engine whose parent lives."""
    holder = read_holder(workspace.lock_file) if is_locked(workspace.lock_file) else None
    found = []
    for process in psutil.process_iter(["pid"]):
        try:
            if process.uids().real != os.getuid() or not is_engine_of(process.cmdline(), workspace.root):
                continue
            if holder is not None and process.pid == holder.pid:
                continue
            ghost = Ghost(process.pid, process.create_time(), process.memory_info().rss)
            if ghost.age > YOUNG and _is_orphan(process):
                found.append(ghost)
        except psutil.Error:  # gone meanwhile, or not ours to see
            continue
    return sorted(found, key=lambda ghost: ghost.started)


def is_engine_of(command_line: list[str], root: Path) -> bool:
    """By the marker in its arguments: `-m engine --workspace ROOT`."""
    for at, word in enumerate(command_line):
        if word == "-m" and command_line[at + 1 : at + 3] == ["engine", "--workspace"]:
            return command_line[at + 3 : at + 4] == [str(root)]
    return False


def _is_orphan(process: psutil.Process) -> bool:
    """Is its parent gone? Then init, or whoever adopts here, has it, and that has no console in its arguments."""
    parent = process.parent()
    if parent is None or parent.pid == 1:
        return True
    words = " ".join(parent.cmdline())
    return "medtui" not in words and "python" not in words and "pytest" not in words


def end(ghost: Ghost) -> str:
    """SIGTERM to it, then SIGKILL; by pid and start time. What happened, in words."""
    for number, grace in ((signal.SIGTERM, TERM_GRACE), (signal.SIGKILL, KILL_GRACE)):
        if same_process(ghost.pid, ghost.started) is None:
            return f"engine {ghost.pid} is gone"
        try:
            os.kill(ghost.pid, number)
        except ProcessLookupError:
            return f"engine {ghost.pid} is gone"
        except PermissionError:
            return f"engine {ghost.pid} is not ours to end"
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline:
            if same_process(ghost.pid, ghost.started) is None:
                return f"engine {ghost.pid} ended"
            time.sleep(0.05)
    return f"engine {ghost.pid} does not end"
