"""The engine as a process: its signals, and where its standard error goes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from engine.contract.files.folders import File
from engine.contract.machine.scheduler import WARNINGS
from engine.control import INTERRUPT


@contextlib.contextmanager
def signals_handled(handler: Callable[[int, Any], None], interrupted: Callable[[int, Any], None]) -> Iterator[None]:
    """While a job runs, SIGINT and the warning signals of schedulers are handled, and a hang-up is ignored.

    `interrupted`: called by `Control.interrupt`, in the main thread.
    """
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, *WARNINGS)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before[INTERRUPT] = signal.signal(INTERRUPT, interrupted)
    try:
        yield
    finally:
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
