"""An engine's process group, as something to look at and to signal: by pid and start time, never by pid alone."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.contract.process_identity import START_TIME_TOLERANCE, same_process


@dataclass(frozen=True)
class Process:
    pid: int
    started: float  # Unix seconds

    @property
    def lives(self) -> bool:
        return same_process(self.pid, self.started) is not None

    def is_same(self, pid: int, started: float) -> bool:
        return pid == self.pid and abs(started - self.started) <= START_TIME_TOLERANCE


class EngineGroup:
    """An engine leads a session and a group of its own; whatever it forked belongs to it.

    While the leader lives, the kernel gives its number to no other group. Once it is gone, the number may be reused:
    then only processes count that were seen before, or that say in their arguments that they are this workspace's
    engine, as a fork of it does.
    """

    def __init__(self, pid: int, started: float, workspace: Path) -> None:
        self.leader = Process(pid, started)
        self._workspace = workspace
        self._seen: set[Process] = set()

    def living(self) -> list[Process]:
        """Its living processes; a zombie does not live."""
        ours = self.leader.lives
        if ours:
            self._seen.add(self.leader)
        for pid in [] if self._number_reused() else _pids_of_group(self.leader.pid):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if pid != self.leader.pid and (ours or is_engine_of(process.cmdline(), self._workspace)):
                    self._seen.add(Process(pid, process.create_time()))
        return sorted((process for process in self._seen if process.lives), key=lambda process: process.pid)

    def _number_reused(self) -> bool:
        """Does another process have the leader's pid now?"""
        try:
            return abs(psutil.Process(self.leader.pid).create_time() - self.leader.started) > START_TIME_TOLERANCE
        except (psutil.Error, ValueError, OverflowError):
            return False

    def signal(self, number: signal.Signals, spare: frozenset[Process] = frozenset()) -> list[Process]:
        """Send it to each that lives and is not spared; those who got it. Raises PermissionError."""
        return [process for process in self.living() if process not in spare and send_signal(process, number)]


def send_signal(process: Process, number: signal.Signals) -> bool:
    """To this very process; False when it is gone. Raises PermissionError.

    The descriptor is opened first and the start time compared then, so no reuse of the pid can come in between.
    """
    if not hasattr(os, "pidfd_open"):  # not Linux
        if not process.lives:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        return True
    try:
        descriptor = os.pidfd_open(process.pid)
    except (OSError, OverflowError):
        return False
    try:
        if not process.lives:
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def is_engine_of(command_line: list[str], root: Path) -> bool:
    """By the marker in its arguments: `-m engine --workspace ROOT`."""
    for at, word in enumerate(command_line):
        if word == "-m" and command_line[at + 1 : at + 3] == ["engine", "--workspace"]:
            return command_line[at + 3 : at + 4] == [str(root)]
    return False


def _pids_of_group(leader: int) -> list[int]:
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if leader in (os.getpgid(pid), os.getsid(pid)):
                found.append(pid)
    return found
