"""Ask an engine of our own what it finds on this machine."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

from engine.contract.protocol import Diagnose, Diagnosis, Shutdown
from engine.contract.workspace import Workspace
from medtui.client.engine_process import EngineProcess

PATIENCE = 90.0  # seconds; importing torch from a cold disk takes its time


def diagnose(
    workspace: Workspace, patience: float = PATIENCE, given_up: Callable[[], bool] = lambda: False
) -> dict[str, str] | None:
    """Its facts; None when it did not answer in time or died, or when the caller has given up."""
    engine = EngineProcess(workspace)
    engine.send(Diagnose(id="diagnose", by="doctor"))
    deadline = time.monotonic() + patience
    try:
        while time.monotonic() < deadline and not given_up():
            try:
                line = engine.receive(0.2)
            except queue.Empty:
                continue
            if line is None:
                return None
            if isinstance(line[1], Diagnosis):
                return line[1].facts
        return None
    finally:
        engine.send(Shutdown(id="shutdown", by="doctor"))
        if given_up() or engine.wait(10.0) is None:
            engine.kill()
