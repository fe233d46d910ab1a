"""Commands to a run of any engine, through the run's `control.jsonl`."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
from dataclasses import dataclass
from typing import Any

from engine.contract.errors import UsageError
from engine.contract.lock import is_locked, read_holder
from engine.contract.protocol import (
    CONTROL_LIMIT,
    Abort,
    AnyCommand,
    CommandAccepted,
    CommandRejected,
    Diagnose,
    Pause,
    Resume,
    RunFinished,
    SaveCheckpoint,
    Shutdown,
    Stop,
    parse_event,
)
from engine.contract.run_directory import RunDirectory, find_run
from engine.contract.status import Status, read_status
from engine.contract.workspace import Workspace
from medtui.client.liveness import is_alive
from medtui.client.tail import JournalTail
from medtui.text import duration

COMMANDS: dict[str, type[Any]] = {
    "pause": Pause,
    "resume": Resume,
    "stop": Stop,
    "abort": Abort,
    "checkpoint": SaveCheckpoint,
    "diagnose": Diagnose,
    "shutdown": Shutdown,
}
ANSWER_HERE = 10.0  # seconds; an engine looks twice a second
ANSWER_ELSEWHERE = 75.0  # seconds; a shared file system may show a change only after a minute
WRITER_PATIENCE = 2.0  # seconds; a command is written in an instant
POLL = 0.1  # seconds between looks at the journal


class NothingToCommand(UsageError):
    """A run that no engine listens for, or that this user may not command."""

    kind = "not_commanded"


@dataclass(frozen=True)
class Answered:
    """What came of a command. All None: nothing within the time."""

    id: str
    answer: CommandAccepted | CommandRejected | None = None
    ended: RunFinished | None = None  # the run ended before it heard


def run_meant(workspace: Workspace, word: str) -> RunDirectory:
    """The run to watch or to command. Raises UsageError, also for `last` while the workspace is held for no run yet."""
    if word == "last" and is_locked(workspace.lock_file):
        holder = read_holder(workspace.lock_file)
        if holder is not None and holder.run is None:
            raise UsageError(f"The newest run has no directory yet: {holder}.", "Try again in a moment, or name a run.")
    return find_run(workspace.outputs, word)


def commanded(run: RunDirectory) -> Status:
    """The status of a run that can be commanded. Raises NothingToCommand."""
    status = read_status(run)
    if status is None:
        raise NothingToCommand(f"Run {run.name} does not say which engine it has.", f"Look at {run.status}.")
    if status.outcome is not None:
        raise NothingToCommand(f"Run {run.name} is over: {status.outcome}.", f"See `medtui show {run.name}`.")
    if is_alive(status) is False:
        raise NothingToCommand(
            f"The engine of run {run.name} is gone; nobody hears a command.", f"`medtui run --resume {run.name}`."
        )
    return status


def elsewhere(status: Status) -> str | None:
    """What to know of an engine that signals cannot reach from here; None of one that they can."""
    if is_alive(status) is not None:
        return None
    words = f"The engine is on {status.host}, not on this machine: commands go through control.jsonl, signals do not."
    cancel = status.scheduler.cancel if status.scheduler else None
    return words + (f" The scheduler's own command for its job is: {cancel}" if cancel else "")


def ask(run: RunDirectory, name: str, by: str, patience: float | None = None) -> Answered:
    """Send a command and wait for the engine's answer in the journal. Raises NothingToCommand."""
    status = commanded(run)
    if patience is None:
        patience = ANSWER_HERE if is_alive(status) else ANSWER_ELSEWHERE
    journal = JournalTail(run.journal, from_end=True)
    id_ = secrets.token_hex(8)
    append_command(run, COMMANDS[name](id=id_, by=by, engine=status.engine))
    deadline = time.monotonic() + patience
    while True:
        over = time.monotonic() > deadline or is_alive(status) is False  # before the last look, not after it
        for line in journal.fresh()[1]:
            event = parse_event(line)
            if isinstance(event, CommandAccepted | CommandRejected) and event.id == id_:
                return Answered(id_, answer=event)
            if isinstance(event, RunFinished):
                return Answered(id_, ended=event)
        if over:
            return Answered(id_)
        time.sleep(POLL)


def append_command(run: RunDirectory, command: AnyCommand) -> None:
    """One whole line in `control.jsonl`, under its lock. Raises NothingToCommand."""
    line = command.line()
    if len(line) > CONTROL_LIMIT:
        raise NothingToCommand(f"A command may have {CONTROL_LIMIT} bytes, found {len(line)}.", "Shorten it.")
    try:
        descriptor = os.open(run.control, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unwritable(run, error) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        _lock(descriptor)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":  # half a line of one who died
            line = b"\n" + line
        if os.write(descriptor, line) != len(line):
            raise NothingToCommand(f"The command could not be written whole to {run.control}.", "Free some space.")
    except OSError as error:
        raise _unwritable(run, error) from None
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Wait for other writers, but not for one that was stopped in between. Raises OSError."""
    deadline = time.monotonic() + WRITER_PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _unwritable(run: RunDirectory, error: OSError) -> NothingToCommand:
    return NothingToCommand(
        f"Cannot write to {run.control}: {error.strerror}.", "Only the user whose engine it is may command a run."
    )


def answer_words(run: RunDirectory, name: str, answered: Answered) -> str:
    """What came of a command, as a sentence."""
    answer, ended = answered.answer, answered.ended
    if isinstance(answer, CommandAccepted):
        soon = f" It shows effect in about {duration(answer.expected)}." if answer.expected >= 1 else ""
        return f"{name} accepted by run {run.name}: {answer.note or 'done at the next batch'}.{soon}"
    if isinstance(answer, CommandRejected):
        return f"{name} rejected by run {run.name}: {answer.reason}."
    if ended is not None:
        return f"Run {run.name} had ended already: {ended.outcome}."
    status = read_status(run)
    if status is not None and is_alive(status) is False:
        return f"The engine of run {run.name} went away before it answered."
    return f"Run {run.name} did not answer. `medtui kill {run.name}` ends it for certain."
