"""Have an engine of our own report what it finds on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError
from engine.contract.wire.protocol import Diagnose, Shutdown
from medtui.client.engine_process import EngineProcess
from medtui.client.feed import RunFeed
from medtui.client.sources import EnginePipe

POLL = 0.2  # seconds between checks whether the caller has cancelled
PATIENCE = 90.0  # seconds; importing torch from a cold disk takes its time


def diagnose(
    workspace: Workspace, patience: float = PATIENCE, cancelled: Callable[[], bool] = lambda: False
) -> dict[str, str] | None:
    """Its facts; None when it did not answer in time or died, or when the caller has cancelled."""
    try:
        engine = EngineProcess(workspace)
    except OutputError:
        return None
    feed = RunFeed(EnginePipe(engine))
    engine.send(Diagnose(id="diagnose", by="doctor"))
    deadline = time.monotonic() + patience
    try:
        while feed.view.diagnosis is None and not feed.over and time.monotonic() < deadline and not cancelled():
            feed.refresh(POLL)
        return feed.view.diagnosis
    finally:
        engine.send(Shutdown(id="shutdown", by="doctor"))
        if cancelled() or engine.wait(10.0) is None:
            engine.kill()
