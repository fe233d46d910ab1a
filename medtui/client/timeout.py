"""File operations that may never return, as on a frozen disk or a lost server: done in a child process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import select
import signal
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

from engine.contract.wire.errors import MedtuiError
from medtui.sentences import CommandLine, Disk

NO_ANSWER = 1
PATIENCE = 12.0  # seconds without a sign of life
PART = 1024 * 1024  # bytes of a result that pass at once
POLL = 0.5  # seconds between checks of its CPU time
T = TypeVar("T")


class DiskNotResponding(MedtuiError):
    """A disk, or its server, that does not respond."""

    kind = "disk_silent"
    exit_code = NO_ANSWER


def run_with_timeout(work: Callable[[Callable[[], None]], T], where: object, patience: float = PATIENCE) -> T:
    """What `work` returns or raises; DiskNotResponding when it gives no sign of life for `patience` seconds.

    `work` is given what to call for such a sign; that it computes is one too. It runs in a child process: a thread that
    hangs in the kernel would keep this process from ending. Only for a process without other threads.
    """
    reader, writer = os.pipe()
    with contextlib.suppress(OSError, AttributeError):  # of Linux; fewer turns for what is large
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PART)
    child = os.fork()
    if child == 0:
        _do(work, writer)
    os.close(writer)
    content = _received(reader, child, patience)
    os.close(reader)
    if content is None:
        os.kill(child, signal.SIGKILL)  # not waited for: it may hang for as long as the disk does
        raise DiskNotResponding(Disk.NOT_RESPONDING, where=where, seconds=patience)
    raised, result = pickle.loads(content)
    os.waitpid(child, 0)
    if raised is not None:
        raise raised
    return result  # type: ignore[no-any-return]


def _do(work: Callable[[Callable[[], None]], object], writer: int) -> None:
    """In the child: does not return. A sign of life is a dot; the result comes after them."""
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):  # whoever reads our output must not wait for this process
            os.dup2(nowhere, descriptor)
        try:
            payload = pickle.dumps((None, work(lambda: _write(writer, b"."))))
        except MedtuiError as error:
            payload = pickle.dumps((error, None))
        except Exception as error:
            internal = MedtuiError(CommandLine.INTERNAL, kind=type(error).__name__, reason=str(error)[:500])
            payload = pickle.dumps((internal, None))
        _write(writer, b"=" + payload)
        os.close(writer)  # now, and not after all memory of this process is given back
    finally:
        os._exit(0)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _received(reader: int, child: int, patience: float) -> bytes | None:
    """The result; None when the child is silent for too long. Raises DiskNotResponding when it ended without one."""
    content, computed, deadline = bytearray(), 0.0, time.monotonic() + patience
    while True:
        ready, _, _ = select.select([reader], [], [], POLL)
        now, seconds = time.monotonic(), computed if ready else _computed(child)
        if ready or seconds > computed:
            computed, deadline = seconds, now + patience
        elif now > deadline:
            return None
        if not ready:
            continue
        part = os.read(reader, PART)
        content += part if content else part.lstrip(b".")
        if not part:
            break
    if not content:
        raise DiskNotResponding(CommandLine.NO_RESULT)
    return bytes(content[1:])


def _computed(pid: int) -> float:
    """Seconds of a processor that it has used: one that hangs in the kernel uses none."""
    try:
        used = psutil.Process(pid).cpu_times()
        return used.user + used.system
    except (psutil.Error, OSError, ValueError, RuntimeError):  # gone, or a strange /proc
        return 0.0
