"""An engine that holds a workspace and is preparing: no run directory yet, commanded by a file next to the lock."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.store.lock import Holder, LockState
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import CommandAccepted, CommandRejected
from medtui.client.control import ANSWER_ELSEWHERE, ANSWER_HERE, COMMANDS, NothingToCommand, append_command
from medtui.client.feed import RunFeed
from medtui.client.sources import RunFiles
from medtui.client.view import Request, RunView
from medtui.sentences import Control

POLL = 0.1  # seconds


class PreparingEngine:
    """The engine that holds the workspace's lock, to command and to end."""

    def __init__(self, holder: Holder, workspace: Workspace) -> None:
        self._holder, self._workspace = holder, workspace
        self._view = RunView(own=False, asked_to_start=True)

    @property
    def view(self) -> RunView:
        return self._view

    @property
    def engine(self) -> ProcessIdentity:
        return self._holder.process

    @property
    def run_directory(self) -> RunDirectory | None:
        """The run that it has created meanwhile."""
        state = LockState.read(self._workspace.lock_file)
        if state.run is None or not self._holder.is_same(state.holder):
            return None
        return RunDirectory(self._workspace.outputs / state.run)

    @property
    def gone(self) -> bool:
        """Has it ended, or let go of the workspace?"""
        return self.engine.is_alive() is False or not self._holds()

    def command(self, name: str, by: str) -> Request:
        """Append a command to the file next to the lock. Raises NothingToCommand."""
        if self._holder.engine is None:
            raise NothingToCommand(Control.NO_ID_YET, holder=self._holder)
        id_ = secrets.token_hex(8)
        append_command(self._workspace.control_file, COMMANDS[name](id=id_, by=by, engine=self._holder.engine))
        request = Request(id_, name, time.time())
        self._view = replace(self._view, requests=(*self._view.requests, request))
        return request

    def close(self) -> None:
        pass

    def _holds(self) -> bool:
        return self._holder.is_same(LockState.read(self._workspace.lock_file).holder)


@dataclass(frozen=True)
class PreparingResult:
    """The result of a command to a preparing engine."""

    request: Request
    gone: bool = False  # it ended, which is what stop and abort are for
    answer: CommandAccepted | CommandRejected | None = None  # where it has made its run directory meanwhile


def command_preparing_engine(
    engine: PreparingEngine,
    name: str,
    by: str,
    patience: float | None = None,
    on_poll: Callable[[], None] = lambda: None,
) -> PreparingResult:
    """Send a command and wait until it shows: by the engine's end, or by its answer once it has a journal.

    `on_poll`: called after each poll of the files: the disk answers. Raises NothingToCommand.
    """
    request = engine.command(name, by)
    if patience is None:
        patience = ANSWER_HERE if engine.engine.is_alive() is not None else ANSWER_ELSEWHERE
    deadline, feed = time.monotonic() + patience, None
    while True:
        over = time.monotonic() > deadline
        if engine.gone:
            return PreparingResult(request, gone=True)
        run = engine.run_directory
        if feed is None and run is not None:
            feed = RunFeed(RunFiles(run))
        if feed is not None:
            feed.refresh(0.0)
            if (answer := feed.view.answer(request)) is not None:
                return PreparingResult(request, answer=answer)
        if over:
            return PreparingResult(request)
        on_poll()
        time.sleep(POLL)


def describe_preparing_result(engine: PreparingEngine, result: PreparingResult) -> str:
    """The result of a command, as a sentence."""
    name, pid = result.request.command, engine.engine.pid
    if result.gone:
        return f"{name} accepted: engine {pid}, which was preparing a run, has ended; nothing was kept."
    if isinstance(result.answer, CommandAccepted):
        return f"{name} accepted by engine {pid}: {result.answer.note or 'done at the next batch'}."
    if isinstance(result.answer, CommandRejected):
        return f"{name} rejected by engine {pid}: {result.answer.reason}."
    return f"Engine {pid}, which is preparing a run, has not answered yet. `medtui kill last` forces it to end."
