"""The engine as a process: its signals, and where its standard error goes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def signals_handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """While a job runs, SIGTERM, SIGINT and SIGUSR1 abort it and a hang-up is no reason to end."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        before[signal.SIGUSR1] = signal.SIG_IGN  # a late warning must not end what has its last word still to send
        for number, action in before.items():
            signal.signal(number, action)


def let_sigterm_end_us() -> None:
    """After an abort command SIGTERM has its default action, even while the main thread is deep in a kernel.

    By the C library, because Python lets only the main thread change handlers.
    """
    ctypes.CDLL(None).signal(int(signal.SIGTERM), None)


def become_log(path: Path) -> None:
    """Standard error becomes run.log; what a parent's temporary file holds of it so far is taken over."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        if os.isatty(2):
            return
        with contextlib.suppress(OSError):  # a pipe or /dev/null has nothing to take over
            os.write(log, os.pread(2, 16 * 1024 * 1024, 0))
        sys.stderr.flush()
        os.dup2(log, 2, inheritable=False)
    finally:
        os.close(log)
