"""Messages from workers to screens. A worker posts one of these and never touches a widget."""

from __future__ import annotations

from collections.abc import Callable

from textual.message import Message

from engine.contract.store.lock import LockState
from engine.contract.store.workspace import Workspace
from medtui.console.shell.status_text import describe_lock
from medtui.machine.gpu import Gpu, gpus


class StatusPolled(Message):
    """Lock and machine were polled."""

    def __init__(self, lock: str, gpus: tuple[Gpu, ...], holder_run: str | None) -> None:
        super().__init__()
        self.lock, self.gpus = lock, gpus  # `lock` as the top line shows it
        self.holder_run = holder_run


def poll_status(workspace: Workspace, is_own: Callable[[LockState], bool], shown_run: str | None) -> StatusPolled:
    """Who holds the workspace, and GPU load. `is_own`: this console's engine? `shown_run`: the run on display."""
    state = LockState.read(workspace.lock_file)
    other = None if state.run == shown_run else state.run
    return StatusPolled(describe_lock(state, is_own(state), other), tuple(gpus()), state.run)
