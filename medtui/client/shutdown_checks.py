"""After a job: is the process gone, the lock free, the last checkpoint intact? Verified, not assumed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from medtui.client.feed import RunFeed

SETTLE = 15.0  # seconds to watch for the process to go and the lock to be free


def check_shutdown(
    feed: RunFeed, workspace: Workspace, run: RunDirectory | None, engine: ProcessIdentity | None
) -> None:
    """What is seen goes to the view's `after`. `engine`: None where no file says which it was."""

    def note(**found: Any) -> None:
        feed.change(lambda view: replace(view, after=replace(view.after, **found)))

    deadline = time.monotonic() + SETTLE
    while time.monotonic() < deadline:
        after = feed.view.after
        if after.process_gone is None and engine is not None and engine.is_alive() is False:
            note(process_gone=time.time())
        if after.lock_free is None and not _holds_lock(workspace, engine):
            note(lock_free=time.time())
        after = feed.view.after
        if after.lock_free is not None and after.process_gone is not None:
            break
        time.sleep(0.05)
    checkpoint, trouble = _verify_checkpoint(feed, run)
    note(checkpoint=checkpoint, checkpoint_checked=time.time(), trouble=trouble)


def _holds_lock(workspace: Workspace, engine: ProcessIdentity | None) -> bool:
    """Has the engine the workspace, or a slot of it? Of an unknown engine: does anybody hold the workspace?"""
    if engine is None:
        return bool(LockState.read(workspace.lock_file).held)
    return any(LockState.read(lock).is_held_by(engine) for lock in workspace.locks)


def _verify_checkpoint(feed: RunFeed, run: RunDirectory | None) -> tuple[str, str]:
    """Is the last checkpoint intact, and if not, why."""
    saved = feed.view.state.last_checkpoint
    if run is None or saved is None:
        return "none", ""
    try:
        verified_digest(run.folder.file(saved.path))
    except (MedtuiError, OSError) as error:
        return "damaged", str(error)
    return "verified", ""
