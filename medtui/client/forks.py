"""Work on many items, shared with forked processes."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from engine.contract.machine.limits import cores

T = TypeVar("T")
R = TypeVar("R")
MOST = 8  # processes: more would wait for the disk, or for its server


class _Child(NamedTuple):
    pid: int
    reader: int


def shared_out(work: Callable[[Sequence[T]], list[R]], items: Sequence[T], worth: int) -> list[R]:
    """`work(items)`, which has a result for each item, all of which can be pickled. Raises what `work` raises.

    worth: how many items are worth a process. Beside other threads, with which no process may be forked, all is done
    here; and so is what a process that was killed did not do.
    """
    n = min(cores(), MOST, len(items) // worth) if threading.active_count() == 1 else 1
    if n < 2:
        return work(items)
    parts = [items[at::n] for at in range(n)]
    children = [_begin(work, part) for part in parts[1:]]
    try:
        done = [work(parts[0])]
        for child, part in zip(children, parts[1:], strict=True):
            content = _content(child)
            done.append(pickle.loads(content) if content else work(part))
    finally:
        for child in children:
            _end(child)
    return [done[at % n][at // n] for at in range(len(items))]


def _begin(work: Callable[[Sequence[T]], list[R]], part: Sequence[T]) -> _Child:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            content = pickle.dumps(work(part), pickle.HIGHEST_PROTOCOL)
            with os.fdopen(writer, "wb") as file:
                file.write(len(content).to_bytes(8, "big") + content)
        finally:
            os._exit(0)
    os.close(writer)
    return _Child(pid, reader)


def _content(child: _Child) -> bytes:
    """What it found; empty where it ended before it had written all of it."""
    with os.fdopen(child.reader, "rb", closefd=False) as file:
        length, content = int.from_bytes(file.read(8), "big"), file.read()
    return content if len(content) == length else b""


def _end(child: _Child) -> None:
    os.close(child.reader)
    with contextlib.suppress(OSError):  # it has ended by itself
        os.kill(child.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.waitpid(child.pid, 0)
