"""The state that a run's journal makes."""

from __future__ import annotations

import contextlib
from functools import reduce
from pathlib import Path

from engine.contract.journal import read_journal
from engine.contract.protocol import AnyEvent, RunStarted
from engine.contract.run_directory import RunDirectory
from medtui.client.state import RunState, fold


def replay(path: Path) -> RunState:
    """The state that a whole journal makes."""
    return reduce(fold, read_journal(path), RunState())


def without_gap(state: RunState, event: AnyEvent) -> RunState:
    """The state before `event`, taken from the journal when `seq` tells that something is missing."""
    started = event if isinstance(event, RunStarted) else state.started
    if event.seq is None or not state.seq or event.seq <= state.seq + 1 or started is None:
        return state
    with contextlib.suppress(OSError):
        reread = replay(RunDirectory(Path(started.run_dir)).journal)
        return reread if reread.seq > state.seq else state
    return state
