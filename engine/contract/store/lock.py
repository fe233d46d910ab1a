"""The workspace lock: one owner per workspace, held by the kernel, described by its text.

The owner is an engine that trains, or the runner of a suite or queue, whose engines hold a lock each (`slots.py`).

`flock` belongs to the open file description: it goes when the last process that has it open ends, however it ends.
The file is never unlinked (a second starter could then lock another inode); its text is information only. Whoever may
open it may lock it, so only its owner may, in a group's workspace also the group.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from engine.contract.files.file_system import remedy_for_writing
from engine.contract.files.folders import File, FileOrPath, Folder, file_at
from engine.contract.files.owners import is_shared, user_name
from engine.contract.machine.engines import (
    LOCK_FILE,
    SLOT_LOCK,
    arguments_of,
    engines_in,
    pids_with_lock,
    workspace_argument,
)
from engine.contract.machine.process_identity import START_TIME_TOLERANCE, ProcessIdentity, start_of, this_process
from engine.contract.sentences import Lock
from engine.contract.wire.errors import MedtuiError, OutputError, WorkspaceLocked

__all__ = ["LOCK_FILE", "Holder", "LockState", "WorkspaceLock"]

CONTROL_FILE = ".medtui.control.jsonl"  # next to it
RETRY = 1.0  # seconds; a reader's probe holds the lock for an instant only
_NO_LOCKS_HERE = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_NOT_YET_DESCRIBED = "another process that has not identified itself"


@dataclass(frozen=True)
class Holder:
    """Who holds, or last held, the workspace."""

    pid: int
    started: float  # start of the process, as `start_of` returns it
    boot: str
    host: str
    run: str | None
    since: float  # Unix seconds
    engine: str | None = None  # its id in the protocol; None of one that is older than that; of a runner its own id
    owner: str | None = None  # `suite NAME` or `the queue`, which it runs, or which gave it a slot
    slot: int | None = None  # the slot of an engine of a suite or queue

    @property
    def process(self) -> ProcessIdentity:
        return ProcessIdentity(self.pid, self.started, self.host, self.boot)

    def is_same(self, other: Holder | None) -> bool:
        """The same engine? By its id; a pid may be another host's, or be used again."""
        if other is None or (self.engine and other.engine):
            return other is not None and self.engine == other.engine
        return self.process == other.process

    @property
    def since_text(self) -> str:
        try:
            return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        except (OverflowError, ValueError, OSError):  # a damaged text is information, not the truth
            return "an unreadable time"

    @property
    def is_runner(self) -> bool:
        """Does it give slots to engines, instead of training itself?"""
        return self.owner is not None and self.slot is None

    @property
    def is_without_runner(self) -> bool:
        """An engine that keeps the workspace closed by its slot alone: read where the workspace itself is free."""
        return self.slot is not None

    @property
    def adopting_command(self) -> str:
        """The command whose runner goes on with an engine that has none any more."""
        kind, _, name = (self.owner or "").partition(" ")
        return f"medtui {kind} resume {name}" if kind in ("suite", "search") else "medtui queue start"

    def __str__(self) -> str:
        if self.is_runner:
            return f"{self.owner} (runner {self.pid} on {self.host}, since {self.since_text})"
        of = f" of {self.owner}" if self.owner else ""
        return f"engine {self.pid}{of} on {self.host} ({self.run or 'preparing a run'}, since {self.since_text})"


@dataclass(frozen=True)
class LockState:
    """The lock at one moment."""

    held: bool | None  # None: it cannot be known, `trouble` says why
    holder: Holder | None = None  # the engine that holds it; None where there is none, or it is not an engine
    other_holder: str = ""  # the process that holds it, where that is no engine that can be read of
    other_pid: int | None = None  # of that process
    trouble: str = ""

    @classmethod
    def read(cls, path: FileOrPath) -> LockState:
        """Never waits, never raises."""
        file = file_at(path)
        found = file.info()
        if found is None:
            return cls(held=False)
        pids = pids_with_lock(found)
        try:
            held = _is_held(file)
        except PermissionError:
            if not pids:
                return cls(held=None, trouble=f"the lock belongs to {user_name(found.st_uid)}")
            held = True
        except OSError as error:
            return cls(held=None, trouble=str(error.strerror or error))
        if not held:
            return cls(held=False)
        holder = _described(file)
        if pids and (holder is None or holder.pid not in pids or _is_reused(holder)):
            return cls(held=True, other_holder=_named_process(pids[0]), other_pid=pids[0])
        return cls(held=True, holder=holder)

    @classmethod
    def of_workspace(cls, outputs: Folder) -> LockState:
        """Of the workspace's lock; while that is free, of a slot that an engine without its runner holds."""
        states = [cls.read(file) for file in locks_of(outputs)]
        return next((state for state in states if state.held), states[0])

    def __str__(self) -> str:
        """Who holds it, for the end of a sentence."""
        if not self.held:
            return "nobody" if self.held is False else f"an unknown process ({self.trouble})"
        return str(self.holder) if self.holder else self.other_holder or _NOT_YET_DESCRIBED

    def is_of(self, engine: str | None) -> bool:
        """Does the engine with this id (of the protocol) hold it?"""
        return engine is not None and self.holder is not None and self.holder.engine == engine

    def is_held_by(self, process: ProcessIdentity) -> bool:
        """Does that process hold it still? The next one may have it already; one that cannot be known may be it."""
        if not self.held:
            return False
        if self.holder is not None:
            return self.holder.process.is_same(process)
        return self.other_pid in (None, process.pid)

    @property
    def held_by_engine(self) -> bool:
        """Also one of another user, whose description of itself may not be read."""
        return self.holder is not None or self.other_holder.startswith("engine ")

    @property
    def run(self) -> str | None:
        """The name of the run that holds the workspace; None also while its engine prepares."""
        return self.holder.run if self.held and self.holder else None


class WorkspaceLock:
    """Held from `acquire` until `release` or the end of the process."""

    def __init__(
        self, path: FileOrPath, engine: str | None = None, owner: str | None = None, slot: int | None = None
    ) -> None:
        """`engine`: the holder's id in the protocol. `owner`, `slot`: as a `Holder` has them."""
        self.file = file_at(path)
        self._engine, self._owner, self._slot = engine, owner, slot
        self._descriptor: int | None = None
        self._control: File | None = None

    def acquire(self, patience: float = RETRY) -> None:
        """Take the lock, trying for `patience` seconds. Raises WorkspaceLocked or OutputError."""
        deadline = time.monotonic() + patience
        while self._descriptor is None:
            descriptor = self._open()
            try:
                self._lock(descriptor, deadline)
            except BaseException:
                os.close(descriptor)
                raise
            if _is_same_file(descriptor, self.file):
                self._descriptor = descriptor
            else:  # removed or replaced between opening and locking
                os.close(descriptor)
        try:
            self.refuse_others()
        except BaseException:
            self.release()
            raise
        self.describe(None)

    def describe(self, run: str | None) -> None:
        """Write who holds the lock and for which run."""
        assert self._descriptor is not None, "only the holder describes the lock"
        me = this_process()
        holder = Holder(me.pid, me.started, me.boot, me.host, run, time.time(), self._engine, self._owner, self._slot)
        text = (json.dumps(asdict(holder)) + "\n").encode()
        os.pwrite(self._descriptor, text, 0)  # readers take the first line: it is complete at every moment
        os.ftruncate(self._descriptor, len(text))

    @property
    def control_name(self) -> str:
        return CONTROL_FILE

    def open_control(self) -> File:
        """The file through which others command a holder that has no run yet; it goes with the lock. Raises OSError."""
        control = self.file.with_name(self.control_name)
        with self.file.folder.opened() as outputs:
            mode = _mode_by_design(os.fstat(outputs))
        os.close(control.descriptor(os.O_RDWR | os.O_CREAT, mode))
        self._control = control
        return control

    def release(self) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.delete()
            self._control = None
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        try:
            with self.file.folder.opened() as outputs:
                expected = _mode_by_design(os.fstat(outputs))
            descriptor = self.file.descriptor(os.O_RDWR | os.O_CREAT, expected)
        except OSError as error:
            raise cannot_open(self.file, error) from None
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != expected:
            with contextlib.suppress(OSError):  # not its owner, or a file system without modes
                os.fchmod(descriptor, expected)
        return descriptor

    def _lock(self, descriptor: int, deadline: float) -> None:
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise _locked(self.file, LockState.read(self.file)) from None
                time.sleep(0.05)
            except OSError as error:
                raise _cannot_lock(self.file, error) from None

    def refuse_others(self) -> None:
        """Engines of a suite whose runner is gone still train here, or one whose lock file was removed: two must not.

        A runner adopts the engines of its own suite. Raises WorkspaceLocked.
        """
        adopted = set()
        for file in slot_locks(self.file.folder):
            state = LockState.read(file)
            if state.held and not (self._owner and state.holder and state.holder.owner == self._owner):
                command = state.holder.adopting_command if state.holder else "medtui suite resume NAME"
                raise WorkspaceLocked(Lock.SLOT_HELD, workspace=_root(self.file), holder=state, command=command)
            if state.holder is not None:
                adopted.add(state.holder.pid)
        for engine in engines_in(self.file.folder):
            if engine.holds_lock and engine.pid not in adopted:
                raise WorkspaceLocked(Lock.HELD_WITHOUT_FILE, workspace=_root(self.file), pid=engine.pid)


def slot_locks(outputs: Folder) -> list[File]:
    """The locks of slots that there are, held or not, by number. Never raises."""
    try:
        found = [(int(match[1]), name) for name in outputs.itself.names() if (match := SLOT_LOCK.fullmatch(name))]
    except OSError:
        return []
    return [outputs.file(name) for _, name in sorted(found)]


def locks_of(outputs: Folder) -> list[File]:
    """The workspace's lock and those of its slots."""
    return [outputs.file(LOCK_FILE), *slot_locks(outputs)]


def living_runs(outputs: Folder) -> tuple[str, ...]:
    """Names of the runs that train here now: of the engine that holds the workspace, or one for each slot in use."""
    states = [LockState.read(file) for file in locks_of(outputs)]
    return tuple(dict.fromkeys(state.run for state in states if state.run is not None))


def _described(file: File) -> Holder | None:
    """What the lock's text says; None when it says nothing that can be read."""
    try:
        values: Any = json.loads(file.content(64 * 1024).partition(b"\n")[0])
        return Holder(
            pid=int(values["pid"]),
            started=float(values["started"]),
            boot=str(values["boot"]),
            host=str(values["host"]),
            run=None if values["run"] is None else str(values["run"]),
            since=float(values["since"]),
            engine=str(values["engine"]) if values.get("engine") else None,
            owner=str(values["owner"])[:200] if values.get("owner") else None,
            slot=int(values["slot"]) if values.get("slot") is not None else None,
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, AttributeError):
        return None


def _is_reused(holder: Holder) -> bool:
    """Is its pid another process's now? Its text is then one that is left from before."""
    try:
        return holder.process.is_here and abs(start_of(holder.pid) - holder.started) > START_TIME_TOLERANCE
    except (psutil.Error, ValueError, OverflowError):  # gone: a process that it started has its lock still
        return False


def _is_held(file: File) -> bool:
    """A probe: a shared lock, released at once. Raises OSError."""
    with file.reading() as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system that cannot lock
            return False
    return False


def _named_process(pid: int) -> str:
    """A process that does not describe itself, or not to this user, as a person can find it."""
    arguments = arguments_of(pid)
    try:
        owner = f" of {user_name(os.stat(f'/proc/{pid}').st_uid)}"  # noqa: PTH116
    except OSError:
        return f"a child of process {pid}, which has ended"
    if workspace_argument(arguments) is not None:
        return f"engine {pid}{owner}"
    program = os.path.basename(arguments[0]) if arguments else "unknown"  # noqa: PTH119
    return f"process {pid} ({program}){owner}, which is not a medtui engine"


def _is_same_file(descriptor: int, file: File) -> bool:
    found, named = os.fstat(descriptor), file.info()
    return named is not None and (named.st_dev, named.st_ino) == (found.st_dev, found.st_ino)


def _root(file: File) -> os.PathLike[str]:
    return file.path.parent.parent


def mode_that_lets_others_lock(path: FileOrPath) -> tuple[int, int] | None:
    """The lock file's mode, where more people may open it, and so lock it, than may train here, and what it should be.

    Else None.
    """
    file = file_at(path)
    found, folder = file.info(), file.folder.itself.info()
    if found is None or folder is None or not stat.S_ISREG(found.st_mode):
        return None
    mode, expected = stat.S_IMODE(found.st_mode), _mode_by_design(folder)
    return (mode, expected) if mode & ~expected else None


def _mode_by_design(outputs: os.stat_result) -> int:
    """Of the lock and of the control file next to it: for their owner, in a group's workspace also for the group."""
    return 0o660 if is_shared(outputs) else 0o600


def cannot_open(file: File, error: OSError) -> MedtuiError:
    """Why training is not possible here."""
    found = file.info()
    if isinstance(error, PermissionError) and found is not None and found.st_uid != os.geteuid():
        folder, owner = file.parent.info(), user_name(found.st_uid)
        if folder is not None and folder.st_uid == os.geteuid():
            return OutputError(Lock.OF_OTHER_USER, path=file, owner=owner)
        return OutputError(Lock.WORKSPACE_OF_OTHER_USER, workspace=_root(file), owner=owner, path=file)
    if found is not None and not isinstance(error, PermissionError):
        return OutputError(Lock.NOT_A_FILE, path=file, reason=error.strerror)
    return OutputError(Lock.NOT_OPENED, path=file, reason=error.strerror, remedy=remedy_for_writing(error))


def _locked(file: File, state: LockState) -> WorkspaceLocked:
    if state.other_holder and not state.held_by_engine:
        return WorkspaceLocked(Lock.HELD_BY_OTHER_PROGRAM, workspace=_root(file), holder=state)
    holder = _NOT_YET_DESCRIBED if state.held is False else state  # a reader's probe, or it has just ended
    return WorkspaceLocked(Lock.HELD, workspace=_root(file), holder=holder)


def _cannot_lock(file: File, error: OSError) -> WorkspaceLocked | OutputError:
    if error.errno in _NO_LOCKS_HERE:
        return WorkspaceLocked(Lock.UNSUPPORTED, folder=file.parent, reason=error.strerror)
    return OutputError(Lock.FAILED, path=file, reason=error.strerror)
