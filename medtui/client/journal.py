"""The state of a run, from its journal."""

from __future__ import annotations

import contextlib
from functools import reduce
from pathlib import Path

from engine.contract.files.folders import FileOrPath
from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.protocol import AnyEvent, RunStarted
from medtui.client.state import RunState, fold


def replay(path: FileOrPath) -> RunState:
    """The state after all events of a journal."""
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
