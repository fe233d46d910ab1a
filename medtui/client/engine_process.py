"""One engine as a child process: start it, send commands, receive events, end it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import BinaryIO, cast

from engine.contract.files.folders import File
from engine.contract.files.paths import caller_folder, path_status
from engine.contract.machine.limits import oom_kills
from engine.contract.machine.process_identity import process_here, this_process
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_log import library_output
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError, ProtocolError
from engine.contract.wire.jobs import Start
from engine.contract.wire.lines import lines_of
from engine.contract.wire.protocol import LINE_LIMIT, AnyCommand, AnyEvent, parse_event
from medtui.client.engine_death import Death, describe_death
from medtui.isolation import engine_environment
from medtui.sentences import Disk, EngineStart

# What must be set before the interpreter, CUDA or OpenMP start; the user's own values win.
ENVIRONMENT = {
    "PYTHONHASHSEED": "42",  # for strict runs, as is the next
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # Threads that wait for each other sleep. Spinning, OpenMP's default, is somewhat faster alone on a machine, but a
    # neighbour on the same cores can then slow the training down several times over, and our users share theirs.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "1000",  # of GNU's OpenMP: they first spin for microseconds, as operators follow each other fast
}
LOG_END = 64 * 1024  # bytes at the end of run.log that are searched for its last output, between the lines of its story
READ_OUT, QUIET = 30.0, 1.0  # seconds for what an engine that is gone has written; and without a line of it
Line = tuple[bytes, AnyEvent | None]  # as it came, and what it means to this version


class EngineProcess:
    """An engine in its own session, so that a terminal's Ctrl-C and hang-up do not reach it."""

    def __init__(
        self, workspace: Workspace, *, warm: bool = False, environment: Mapping[str, str] | None = None
    ) -> None:
        """`environment`: variables that this engine has besides the usual ones."""
        self._stderr = _unnamed_file()
        self._kills = oom_kills()
        me = this_process()
        command = [sys.executable, "-P", "-m", "engine", "--workspace", str(workspace.root)]
        command += ["--console", f"{me.pid}:{me.started}"]  # read by the search for orphans
        self._process = _started(command + (["--warm"] if warm else []), self._stderr, workspace, environment or {})
        self._gone_at: float | None = None
        self.pid = self._process.pid
        self.identity = process_here(self.pid)
        # no SimpleQueue: a signal in the last microseconds of its timeout makes it wait forever (CPython 3.11)
        self._lines: queue.Queue[Line | None] = queue.Queue()
        threading.Thread(target=self._read, name="engine-events", daemon=True).start()

    def send(self, command: AnyCommand) -> bool:
        """False when the engine no longer listens. Raises ProtocolError for a command that cannot be sent."""
        assert self._process.stdin is not None
        if isinstance(command, Start) and command.folder is None:
            command = command.model_copy(update={"folder": caller_folder()})
        line = command.line()
        if len(line) > LINE_LIMIT:
            raise ProtocolError(EngineStart.COMMAND_TOO_LONG, found=len(line))
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def receive(self, timeout: float) -> Line | None:
        """The next line. Raises queue.Empty after `timeout` seconds; None at the end of its output.

        A child of an engine that is gone may keep its pipe, and even write to it: what the engine wrote itself is
        here within a moment.
        """
        if self._gone_at is None and self._process.poll() is not None:
            self._gone_at = time.monotonic()
        if self._gone_at is not None:
            left = self._gone_at + READ_OUT - time.monotonic()
            timeout = min(timeout, QUIET)
            if left <= 0:
                return None
        try:
            return self._lines.get(timeout=timeout)
        except queue.Empty:
            if self._gone_at is None:
                raise
            return None

    def kill(self) -> None:
        """SIGKILL to its process group. Until it is waited for, its number is nobody else's."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout: float) -> int | None:
        """The return code, or None while it still runs."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def death(self, run: RunDirectory | None, patience: float) -> Death:
        """How it ended that reported nothing; it is waited for `patience` seconds. `run`: that it made."""
        returned = self.wait(patience)
        return describe_death(returned, self.last_output(run.log if run is not None else None), self._kills)

    def last_output(self, run_log: File | None, limit: int = 2000) -> str:
        """The end of what it wrote to standard error: of run.log, less the run's story, once that took over."""
        try:
            if run_log is not None and run_log.is_there:
                end = run_log.read_end(LOG_END)
                if len(end) == LOG_END:  # its first line may be half one
                    end = end.partition(b"\n")[2] or end
                return library_output(end.decode(errors="replace"))[-limit:]
            return _end_of(self._stderr, limit)
        except OSError:
            return ""

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in lines_of(self._process.stdout.fileno()):
            self._lines.put((line, parse_event(line)))
        self._lines.put(None)


def _started(
    command: list[str], stderr: BinaryIO, workspace: Workspace, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """In the workspace: the caller's folder may be gone, or hold files that libraries read. Raises OutputError."""
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            env={**ENVIRONMENT, **engine_environment(), **environment},
            cwd=workspace.root,
        )
    except OSError as error:
        why = path_status(workspace.outputs).why or f": {error.strerror}"
        raise OutputError(EngineStart.IMPOSSIBLE, path=workspace.root, reason=why) from None


def _unnamed_file() -> BinaryIO:
    """Where an engine's standard error goes at first: memory, so that a full temporary folder is no obstacle.

    Raises OutputError where there is neither.
    """
    if hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):
            return os.fdopen(os.memfd_create("medtui-stderr", os.MFD_CLOEXEC), "rb+")
    try:
        return cast(BinaryIO, tempfile.TemporaryFile())
    except OSError as error:
        raise OutputError(Disk.NO_TEMPORARY_FOLDER, reason=error.strerror) from None


def _end_of(file: BinaryIO, limit: int) -> str:
    """The last `limit` bytes as text. Raises OSError."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), limit, max(0, size - limit)).decode(errors="replace").strip()
