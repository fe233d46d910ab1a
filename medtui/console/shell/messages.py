"""Messages from workers to screens. A worker posts one of these and never touches a widget."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textual.message import Message

from engine.contract.store.lock import LockState, living_runs
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.status import read_status
from engine.contract.store.workspace import Workspace
from medtui.console.shell.status_text import describe_holder, describe_lock
from medtui.machine.gpu import Gpus, read_gpus
from medtui.text import capitalised


@dataclass(frozen=True)
class Ended:
    """The work of a runner that this console saw, and that is over."""

    words: str
    failed: bool


class StatusPolled(Message):
    """Lock and machine were polled."""

    def __init__(
        self,
        lock: str,
        word: str,
        gpus: Gpus,
        living: tuple[str, ...],
        worked: str | None,
        ended: Ended | None,
        newest_engine: str | None,
        there: Path | None = None,
        gone: Path | None = None,
    ) -> None:
        super().__init__()
        self.lock, self.word, self.gpus = lock, word, gpus  # `lock` and `word` as the top line shows them
        self.living = living  # names of the runs that train now
        self.worked, self.ended = worked, ended  # the name of the suite that has a runner; that had one before
        self.newest_engine = newest_engine  # the engine of the shown run's newest attempt, by its status
        self.there, self.gone = there, gone  # the folder of the shown run, as one of the two


def poll_status(
    workspace: Workspace,
    is_own: Callable[[LockState], bool],
    shown_run: str | None,
    worked: str | None = None,
    folder: Path | None = None,
) -> StatusPolled:
    """Who holds the workspace, and GPU load. `is_own`: this console's engine? `shown_run`: the run on display.

    `worked`: the suite, or the queue, that had a runner when it was polled before. `folder`: of the run on
    display.
    """
    state = LockState.of_workspace(workspace.folder)
    other = None if state.run == shown_run else state.run
    works = suite_of(state)
    ended = _ended(workspace, worked) if worked is not None and works != worked else None
    living = living_runs(workspace.folder)
    described = describe_lock(state, is_own(state), other), describe_holder(state, living)
    status = read_status(RunDirectory(workspace.outputs / shown_run)) if shown_run is not None else None
    newest_engine = status.engine if status is not None else None
    there = folder is not None and os.path.lexists(folder)
    places = (folder, None) if there else (None, folder)
    return StatusPolled(*described, read_gpus(), living, works, ended, newest_engine, *places)


def suite_of(state: LockState) -> str | None:
    """The name of the store whose runner holds the workspace."""
    if state.holder is None or not state.holder.is_runner:
        return None
    from medtui.suites.store import named_by

    return named_by(str(state.holder.owner))


def _ended(workspace: Workspace, name: str) -> Ended | None:
    from engine.contract.wire.errors import MedtuiError
    from medtui.suites.settling import work_of
    from medtui.suites.status import describe_counts
    from medtui.suites.store import Store

    store = Store(workspace, name)
    try:
        work = work_of(store)
    except MedtuiError:
        return None
    owner = capitalised(store.owner)
    if work.next is not None:
        return Ended(f"{owner} has no runner any more: {describe_counts(work, workspace)}", failed=False)
    return Ended(f"{owner} has ended: {describe_counts(work, workspace)}", failed=bool(work.of("failed")))
