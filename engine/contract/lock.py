"""The workspace lock: one training engine a workspace, held by the kernel, told by its text.

`flock` belongs to the open file description: it goes when the last process that has it open ends, however it ends.
The file is never unlinked (a second starter could then lock another inode); its text is information only.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.contract.errors import OutputError, WorkspaceLocked
from engine.contract.files import read_bounded
from engine.contract.process_identity import this_process

LOCK_FILE = ".medtui.lock"  # in `outputs/`
RETRY = 1.0  # seconds; a reader's probe holds the lock for an instant only
_NO_LOCKS_HERE = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


@dataclass(frozen=True)
class Holder:
    """Who holds, or last held, the workspace."""

    pid: int
    started: float  # start of the process, as `start_of` tells it
    boot: str
    host: str
    run: str | None
    since: float  # Unix seconds

    @property
    def since_words(self) -> str:
        try:
            return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        except (OverflowError, ValueError, OSError):  # a damaged text is information, not the truth
            return "an unreadable time"

    def __str__(self) -> str:
        return f"engine {self.pid} on {self.host} ({self.run or 'preparing a run'}, since {self.since_words})"


class WorkspaceLock:
    """Held from `acquire` until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, patience: float = RETRY) -> None:
        """Take the lock, trying for `patience` seconds. Raises WorkspaceLocked or OutputError."""
        descriptor = _open(self.path)
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                holder = read_holder(self.path)
                os.close(descriptor)
                raise _locked(self.path, holder) from None
            except OSError as error:
                os.close(descriptor)
                raise _cannot_lock(self.path, error) from None
        self._descriptor = descriptor
        self.describe(None)

    def describe(self, run: str | None) -> None:
        """Write who holds the lock and for which run."""
        assert self._descriptor is not None, "only the holder describes the lock"
        me = this_process()
        holder = Holder(me.pid, me.started, me.boot, me.host, run, time.time())
        text = json.dumps(asdict(holder)) + "\n"
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_locked(path: Path) -> bool:
    """Does anybody hold the lock now? A probe: a shared lock, released at once."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def read_holder(path: Path) -> Holder | None:
    """What the lock's text says; None when it says nothing that can be read."""
    try:
        values: Any = json.loads(read_bounded(path, 64 * 1024))
        return Holder(
            pid=int(values["pid"]),
            started=float(values["started"]),
            boot=str(values["boot"]),
            host=str(values["host"]),
            run=None if values["run"] is None else str(values["run"]),
            since=float(values["since"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def held_run(path: Path) -> str | None:
    """The name of the run that holds the lock now; None when nobody holds it, or who does has no run yet."""
    holder = read_holder(path) if is_locked(path) else None
    return holder.run if holder else None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise OutputError(
            f"Cannot open the workspace lock {path}: {error.strerror}.", "Make it writable, or give --workspace."
        ) from None


def _locked(path: Path, holder: Holder | None) -> WorkspaceLocked:
    who = str(holder) if holder else "another process that has not said its name"
    return WorkspaceLocked(
        f"The workspace {path.parent.parent} is held by {who}.", "Wait for it, stop it, or use another --workspace."
    )


def _cannot_lock(path: Path, error: OSError) -> WorkspaceLocked | OutputError:
    if error.errno in _NO_LOCKS_HERE:
        return WorkspaceLocked(
            f"The file system of {path.parent} cannot lock files ({error.strerror}).",
            "Give a --workspace on a local disk.",
        )
    return OutputError(f"Cannot lock {path}: {error.strerror}.", "Give another --workspace.")
