"""One engine as a child process: started, spoken to, listened to, ended."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil

from engine.contract.errors import ProtocolError
from engine.contract.lines import lines_of
from engine.contract.process_identity import ProcessIdentity, this_process
from engine.contract.protocol import LINE_LIMIT, AnyCommand, AnyEvent, parse_event
from engine.contract.workspace import Workspace

# What must be set before the interpreter, CUDA or OpenMP start; the user's own values win.
ENVIRONMENT = {
    "PYTHONHASHSEED": "42",  # for strict runs, as is the next
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # Threads that wait for each other sleep. Spinning, OpenMP's default, is somewhat faster alone on a machine, but a
    # neighbour on the same cores can then slow the training down several times over, and our users share theirs.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "1000",  # of GNU's OpenMP: they first spin for microseconds, as operators follow each other fast
}
Line = tuple[bytes, AnyEvent | None]  # as it came, and what it means to this version


class EngineProcess:
    """An engine in its own session, so that a terminal's Ctrl-C and hang-up do not reach it."""

    def __init__(self, workspace: Workspace, *, warm: bool = False) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the engine
        me = this_process()
        command = [sys.executable, "-P", "-m", "engine", "--workspace", str(workspace.root)]
        command += ["--console", f"{me.pid}:{me.started}"]  # whoever looks for ghosts reads it there
        self._process = subprocess.Popen(
            command + (["--warm"] if warm else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
            env={**ENVIRONMENT, **os.environ},
        )
        self.pid = self._process.pid
        self.identity = ProcessIdentity(self.pid, psutil.Process(self.pid).create_time(), me.host, me.boot)
        # no SimpleQueue: a signal in the last microseconds of its timeout makes it wait for ever (CPython 3.11)
        self._lines: queue.Queue[Line | None] = queue.Queue()
        threading.Thread(target=self._read, name="engine-events", daemon=True).start()

    def send(self, command: AnyCommand) -> bool:
        """False when the engine does not listen any more. Raises ProtocolError for a command that cannot be sent."""
        assert self._process.stdin is not None
        line = command.line()
        if len(line) > LINE_LIMIT:
            raise ProtocolError(f"A command may have 1 MiB, found {len(line):,} bytes.", "Shorten it.")
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def receive(self, timeout: float) -> Line | None:
        """The next line. Raises queue.Empty after `timeout` seconds; None when the engine has said its last."""
        return self._lines.get(timeout=timeout)

    def kill(self) -> None:
        """SIGKILL to its process group. Until it is waited for, its number is nobody else's."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout: float) -> int | None:
        """The return code, or None when it still lives."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def last_words(self, run_log: Path | None, limit: int = 2000) -> str:
        """The end of what it wrote to standard error; run.log once that took over."""
        try:
            if run_log is not None and run_log.exists():
                return run_log.read_bytes()[-limit:].decode(errors="replace").strip()
            self._stderr.seek(0)
            return self._stderr.read()[-limit:].decode(errors="replace").strip()
        except OSError:
            return ""

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in lines_of(self._process.stdout.fileno()):
            self._lines.put((line, parse_event(line)))
        self._lines.put(None)
