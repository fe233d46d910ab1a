"""What the console opens with: the run that was asked for, else the one that trains in the workspace, else Recipes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.store.run_directory import RunDirectory
    from engine.contract.store.workspace import Workspace

PATIENCE = 3.0  # seconds for a disk to say whether a run trains


@dataclass(frozen=True)
class FirstScreen:
    screen: str = "recipes"
    run: str | None = None  # to attach to


async def find_first_screen(workspace: Workspace, requested: RunDirectory | None) -> FirstScreen:
    """`requested`: the run of `medtui attach`. A disk that does not respond is not waited for: Recipes."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(_find, workspace, requested), PATIENCE)
    except TimeoutError:
        return FirstScreen() if requested is None else FirstScreen("live", requested.name)


def _find(workspace: Workspace, requested: RunDirectory | None) -> FirstScreen:
    """In a thread: reads files. Live shows an active run, Results a finished one, Suites several."""
    if requested is not None:
        from engine.contract.store.status import read_status

        status = read_status(requested)
        over = status is not None and status.outcome is not None
        return FirstScreen("results" if over else "live", requested.name)
    from engine.contract.store.lock import LockState, living_runs

    state = LockState.of_workspace(workspace.folder)
    if not state.held_by_engine:
        return FirstScreen()
    run = next(iter(living_runs(workspace.folder)), None)
    if state.holder is not None and state.holder.is_runner:
        return FirstScreen("suites", run)
    return FirstScreen("live", run) if run is not None else FirstScreen()
