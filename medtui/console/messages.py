"""What workers tell the screens. A worker posts one of these and never touches a widget."""

from __future__ import annotations

from textual.message import Message

from engine.contract.lock import is_locked, read_holder
from engine.contract.workspace import Workspace
from medtui.console.status_text import lock_words
from medtui.machine.gpu import gpu_words


class LookedAround(Message):
    """Lock and machine were looked at."""

    def __init__(self, lock: str, gpu: str, holder_run: str | None) -> None:
        super().__init__()
        self.lock, self.gpu = lock, gpu  # in the words of the top line
        self.holder_run = holder_run


def look_around(workspace: Workspace, own_engine: int | None, watched: str | None) -> LookedAround:
    """Who holds the workspace, and what the GPUs do. `own_engine`: its pid; `watched`: the run that is shown."""
    holder = read_holder(workspace.lock_file) if (locked := is_locked(workspace.lock_file)) else None
    run = holder.run if holder else None
    pid = holder.pid if holder else None
    return LookedAround(lock_words(locked, pid, own_engine, None if run == watched else run), gpu_words(), run)
