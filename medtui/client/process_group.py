"""An engine's process group, as something to look at and to signal: by pid and start time, never by pid alone."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass

import psutil

from engine.contract.files.folders import Folder
from engine.contract.machine.engines import running_engine, works_in
from engine.contract.machine.process_identity import START_TIME_TOLERANCE, pids, same_process, start_of


@dataclass(frozen=True)
class Process:
    pid: int
    started: float  # as `start_of` tells it

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

    def __init__(self, pid: int, started: float, outputs: Folder) -> None:
        """`outputs`: of its workspace."""
        self.leader = Process(pid, started)
        self._outputs = outputs
        self._seen: set[Process] = set()

    def living(self) -> list[Process]:
        """Its living processes; a zombie does not live."""
        ours = self.leader.lives
        if ours:
            self._seen.add(self.leader)
        for pid in [] if self._number_reused() else _pids_of_group(self.leader.pid):
            with contextlib.suppress(psutil.Error):
                if pid != self.leader.pid and (ours or is_engine_in(pid, self._outputs)):
                    self._seen.add(Process(pid, start_of(pid)))
        return sorted((process for process in self._seen if process.lives), key=lambda process: process.pid)

    def _number_reused(self) -> bool:
        """Does another process have the leader's pid now?"""
        try:
            return abs(start_of(self.leader.pid) - self.leader.started) > START_TIME_TOLERANCE
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


def is_engine_in(pid: int, outputs: Folder) -> bool:
    """Is this process an engine of the workspace with that `outputs/`?"""
    engine = running_engine(pid)
    return engine is not None and works_in(engine, outputs)


def _pids_of_group(leader: int) -> list[int]:
    found = []
    for pid in pids():
        with contextlib.suppress(OSError):
            if leader in (os.getpgid(pid), os.getsid(pid)):
                found.append(pid)
    return found
