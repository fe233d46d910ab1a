"""A runner in a process of its own: whoever started it may leave, and no lost connection ends it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from engine.contract.files.folders import File
from engine.contract.wire.errors import (
    ABORTED,
    COMPLETED,
    STOPPED,
    MedtuiError,
    OutputError,
    RunFailed,
    UsageError,
    WorkspaceLocked,
)
from engine.contract.wire.text import shortened
from medtui.isolation import command_environment
from medtui.sentences import Suites
from medtui.suites.store import Store
from medtui.text import capitalised

PATIENCE = 60.0  # seconds until a runner that was started has taken the workspace, on a busy machine
POLL = 0.05  # seconds
SAID = 4000  # bytes of its log that are read for why it ended
WORKED = (COMPLETED, RunFailed.exit_code, STOPPED, ABORTED)  # exit codes that are of its runs
_KINDS: dict[int, type[MedtuiError]] = {2: UsageError, 3: WorkspaceLocked}  # by its exit code
# Safe path: nothing in the workspace stands in for a module. Its first argument is what manifests name.
_PROGRAM = "import sys; sys.argv[0] = 'medtui'; from medtui.cli import main; main()"


@dataclass(frozen=True)
class Started:
    """A runner of its own."""

    owner: str
    pid: int | None  # None: none was needed
    log: File
    over: bool = False  # there was nothing to do

    def __str__(self) -> str:
        if self.over:
            return f"{capitalised(self.owner)}: nothing was left to do."
        works = f"Runner {self.pid} is working on {self.owner}, and continues without this terminal."
        return f"{works} Its log is {self.log}."


def start_runner(store: Store, slots: int | None = None, *, stays: bool = False) -> Started:
    """Have a suite whose runs are planned, or the queue, done by a process of its own; returns once that works.

    Raises MedtuiError with what that process said, where it ended at once.
    """
    log = store.make().file.with_name("runner.log")
    if not stays and not store.journal().work.of("pending", "claimed", "running"):
        return Started(store.owner, None, log, over=True)
    process, began = _started(store, log, _arguments(store, slots, stays=stays))
    threading.Thread(target=process.wait, name="runner", daemon=True).start()  # until it is over, it is our child
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        holder = store.runner()
        if holder is not None and holder.pid == process.pid:
            return Started(store.owner, process.pid, log)
        time.sleep(POLL)
    code = process.poll()
    if code is None or code in WORKED:  # it still waits for a slow disk, or had nothing to do
        return Started(store.owner, process.pid, log, over=code is not None)
    kind = _KINDS.get(code, OutputError)
    raise kind(Suites.NOT_BEGUN, owner=store.owner, reason=_said(log, began), path=log)


def _arguments(store: Store, slots: int | None, *, stays: bool) -> list[str]:
    what = ["queue", "start"] if store.kind == "queue" else [store.kind, "resume", store.name]
    given = ["--slots", str(slots)] * (slots is not None) + ["--stay"] * stays
    return [*what, "--workspace", str(store.workspace.root), *given]


def _started(store: Store, log: File, arguments: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """In a session of its own, its output in its log; and where in the log that begins. Raises OutputError."""
    try:
        descriptor = log.descriptor(os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    except OSError as error:
        raise OutputError(Suites.UNWRITABLE, path=log, reason=error.strerror) from None
    try:
        os.write(descriptor, f"{time.strftime('%Y-%m-%d %H:%M:%S')} medtui {' '.join(arguments)}\n".encode())
        began = os.fstat(descriptor).st_size
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            env=command_environment(),
            cwd=store.workspace.root,
        )
        return process, began
    except OSError as error:
        raise OutputError(Suites.UNWRITABLE, path=log, reason=error.strerror) from None
    finally:
        os.close(descriptor)


def _said(log: File, began: int) -> str:
    """What it wrote."""
    try:
        with log.reading() as file:
            file.seek(began)
            text = file.read(SAID).decode(errors="replace")
    except OSError:
        return "its log cannot be read"
    lines = [line.strip().removeprefix("medtui: ") for line in text.splitlines() if line.strip()]
    return shortened(" ".join(lines).rstrip("."), 400) or "it printed nothing"
