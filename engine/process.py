"""The engine as a process: its signals, and where its standard error goes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from engine.contract.files.folders import File
from engine.contract.machine.scheduler import WARNINGS
from engine.control import INTERRUPT


class Arrivals:
    """Signals that have arrived and whose handler may not have run yet.

    Python runs a handler when its main thread next executes bytecode. A signal that comes just before that thread
    enters a call that blocks, or that another thread receives, would wait there until the call ends. The C library's
    part of the handler writes a byte at once, in whatever thread, and the heartbeat reads it here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._open = True
        self._unhandled = False

    def unhandled(self) -> bool:
        """Has a signal arrived since the main thread last ran a handler?"""
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._open and any(number != INTERRUPT for number in os.read(self._reader, 4096)):
                self._unhandled = True
        return self._unhandled

    def handlers_ran(self) -> None:
        """The main thread runs the handler of `INTERRUPT`, and with it those of all signals that came before."""
        self._unhandled = False

    def close(self) -> None:
        signal.set_wakeup_fd(self._before)
        with self._lock:  # a heartbeat that hung in a disk may look once more
            self._open = False
            os.close(self._reader)
            os.close(self._writer)


@contextlib.contextmanager
def signals_handled(handler: Callable[[int, Any], None], interrupted: Callable[[int, Any], None]) -> Iterator[Arrivals]:
    """While a job runs, SIGINT and the warning signals of schedulers are handled, and a hang-up is ignored.

    `interrupted`: called by `Control.interrupt`, in the main thread.
    """
    arrivals = Arrivals()

    def looked(number: int, frame: FrameType | None) -> None:
        arrivals.handlers_ran()
        interrupted(number, frame)

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, *WARNINGS)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before[INTERRUPT] = signal.signal(INTERRUPT, looked)
    try:
        yield arrivals
    finally:
        arrivals.close()
        for number in WARNINGS[1:]:
            before[number] = signal.SIG_IGN  # a late warning must not end an engine before its final event
        for number, action in before.items():
            signal.signal(number, action)


def may_be_interrupted(frame: FrameType | None) -> bool:
    """May an exception be raised in a thread at this point? Not where locks are held, nor within an import.

    Those end soon, and the signal comes again.
    """
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module in _UNINTERRUPTED or module.startswith("importlib"):
            return False
        frame = frame.f_back
    return True


_UNINTERRUPTED = {"engine.events", "threading", "queue", "contextlib", "tempfile"}


def restore_default_sigterm() -> None:
    """After an abort SIGTERM has its default action, even while the main thread is deep in a kernel.

    By the C library, because Python lets only the main thread change handlers.
    """
    ctypes.CDLL(None).signal(int(signal.SIGTERM), None)


def redirect_stderr(file: File) -> None:
    """Standard error becomes run.log; what a parent's temporary file holds of it so far is taken over."""
    log = file.descriptor(os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        if os.isatty(2):
            return
        with contextlib.suppress(OSError):  # a pipe or /dev/null has nothing to take over
            os.write(log, os.pread(2, 16 * 1024 * 1024, 0))
        sys.stderr.flush()
        os.dup2(log, 2, inheritable=False)
    finally:
        os.close(log)
