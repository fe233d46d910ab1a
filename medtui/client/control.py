"""Commands to a run of any engine, through the run's `control.jsonl`."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote
from typing import Any

from engine.contract.files.file_system import end_of_torn_line
from engine.contract.files.folders import File
from engine.contract.files.inspection import describe_owner
from engine.contract.store.find_run import find_run
from engine.contract.store.lock import Holder, LockState
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_record import RunRecord, read_run
from engine.contract.store.status import Status
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import UsageError
from engine.contract.wire.protocol import (
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
)
from medtui.client.feed import RunFeed
from medtui.client.liveness import is_alive
from medtui.client.sources import RunFiles
from medtui.client.view import Request, RunView
from medtui.sentences import Control
from medtui.text import duration

DENIED = (errno.EACCES, errno.EPERM)  # to a user who is not the owner
COMMANDS: dict[str, type[Any]] = {
    "pause": Pause,
    "resume": Resume,
    "stop": Stop,
    "abort": Abort,
    "checkpoint": SaveCheckpoint,
    "diagnose": Diagnose,
    "shutdown": Shutdown,
}
ANSWER_HERE = 10.0  # seconds; an engine polls twice a second
ANSWER_ELSEWHERE = 75.0  # seconds; a shared file system may show a change only after a minute
WRITER_PATIENCE = 2.0  # seconds; a command is written in an instant
POLL = 0.1  # seconds between polls for the answer


class NothingToCommand(UsageError):
    """A run without a listening engine, or one that this user may not command."""

    kind = "not_commanded"


@dataclass(frozen=True)
class CommandResult:
    """The result of a command. All None: no answer in time."""

    id: str
    answer: CommandAccepted | CommandRejected | None = None
    ended: RunFinished | None = None  # the run ended before it read the command


def resolve_run(workspace: Workspace, word: str) -> RunDirectory:
    """The run to watch or to command. Raises UsageError, also for `last` while the workspace is held for no run yet."""
    if word == "last" and (holder := preparing(workspace)) is not None:
        raise UsageError(Control.NO_DIRECTORY_YET, holder=holder)
    return find_run(workspace.outputs, word)


def preparing(workspace: Workspace) -> Holder | None:
    """The engine that holds the workspace and has no run directory yet."""
    holder = LockState.read(workspace.lock_file).holder
    return holder if holder is not None and holder.run is None and not holder.is_runner else None


def commandable_record(run: RunDirectory) -> RunRecord:
    """The record of a run that can be commanded, with its engine's id. Raises NothingToCommand."""
    record = read_run(run)
    if record.summary.outcome is not None:
        goes_on = record.outcome != "completed" and (run.last.is_regular or run.previous.is_regular)
        raise NothingToCommand(
            Control.RUN_OVER_RESUMABLE if goes_on else Control.RUN_OVER, run=run.name, outcome=record.outcome
        )
    if record.engine is None or record.engine_id is None:
        raise NothingToCommand(Control.ENGINE_UNKNOWN, run=run.name, path=run.status)
    if record.alive is False:
        raise NothingToCommand(Control.ENGINE_GONE, run=run.name)
    return record


def describe_remote_engine(status: Status) -> str | None:
    """A note on an engine that signals cannot reach from here; None for one that they can."""
    if is_alive(status) is not None:
        return None
    words = f"The engine runs on {status.host}, not on this machine: it can be commanded, but not signalled."
    cancel = status.scheduler.cancel if status.scheduler else None
    return words + (f" To cancel its job: {cancel}" if cancel else "")


def send_and_wait(
    run: RunDirectory,
    name: str,
    by: str,
    patience: float | None = None,
    on_poll: Callable[[], None] = lambda: None,
) -> CommandResult:
    """Send a command and wait for the engine's answer in the journal. Raises NothingToCommand.

    `on_poll`: called after each poll of the files: the disk answers.
    """
    feed = RunFeed(RunFiles(run, from_end=True), RunView(own=False, run=run.name, asked_to_start=True))
    record = commandable_record(run)
    if patience is None:
        patience = ANSWER_HERE if record.alive else ANSWER_ELSEWHERE
    request = Request(secrets.token_hex(8), name, time.time())
    append_command(run.control, COMMANDS[name](id=request.id, by=by, engine=record.engine_id))
    deadline = time.monotonic() + patience
    while True:
        over = time.monotonic() > deadline or feed.over  # before the last poll, not after it
        feed.refresh(POLL)
        if (answer := feed.view.answer(request)) is not None:
            return CommandResult(request.id, answer=answer)
        if (finished := feed.view.state.finished) is not None:
            return CommandResult(request.id, ended=finished)
        if over:
            return CommandResult(request.id)
        on_poll()


def append_command(control: File, command: AnyCommand) -> None:
    """Append one complete line to a `control.jsonl`, under its lock. Raises NothingToCommand."""
    line = command.line()
    if len(line) > CONTROL_LIMIT:
        raise NothingToCommand(Control.COMMAND_TOO_LONG, limit=CONTROL_LIMIT, found=len(line))
    try:
        descriptor = control.descriptor(os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unwritable(control, error) from None
    try:
        _lock(descriptor)
        line = end_of_torn_line(descriptor) + line
        if os.write(descriptor, line) != len(line):
            raise NothingToCommand(Control.HALF_WRITTEN, path=control)
    except OSError as error:
        raise _unwritable(control, error) from None
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


def _unwritable(control: File, error: OSError) -> NothingToCommand:
    owner = describe_owner(control)
    denied = error.errno in DENIED
    return NothingToCommand(
        Control.NOT_OWNER if denied else Control.UNWRITABLE, path=control, owner=owner, reason=error.strerror
    )


def describe_result(run: RunDirectory, name: str, result: CommandResult) -> str:
    """The result of a command, as a sentence."""
    answer, ended = result.answer, result.ended
    if isinstance(answer, CommandAccepted):
        soon = f" It takes effect in about {duration(answer.expected)}." if answer.expected >= 1 else ""
        return f"{name} accepted by run {run.name}: {answer.note or 'done at the next batch'}.{soon}"
    if isinstance(answer, CommandRejected):
        return f"{name} rejected by run {run.name}: {answer.reason}."
    if ended is not None:
        return f"Run {run.name} had already ended: {ended.outcome}."
    if read_run(run).alive is False:
        return f"The engine of run {run.name} ended without answering."
    return f"Run {run.name} did not answer. `medtui kill {quote(run.name)}` forces it to end."
