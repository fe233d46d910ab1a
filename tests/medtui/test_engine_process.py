"""The client's end of the pipe to an engine."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contract.workspace import Workspace
from medtui.client.engine_process import EngineProcess


@pytest.fixture
def silent_engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """One that has said hello and waits."""
    engine = EngineProcess(Workspace(tmp_path), warm=True)
    engine.receive(60)
    yield engine
    engine.kill(None)
    engine.wait(10)


def test_a_look_for_events_ends_in_time_whenever_a_ctrl_c_comes(silent_engine: EngineProcess) -> None:
    """Signals at every moment of the wait, its last microseconds too (where queue.SimpleQueue waits for ever)."""
    came = 0

    def count(_number: int, _frame: object) -> None:
        nonlocal came
        came += 1

    over = threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def bombard() -> None:
        while not over.wait(0.0001):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, count)
    bombarding = threading.Thread(target=bombard, daemon=True)
    bombarding.start()
    began = time.monotonic()
    try:
        for _ in range(500):
            with pytest.raises(queue.Empty):
                silent_engine.receive(0.001)
    finally:
        over.set()
        bombarding.join()
        signal.signal(signal.SIGUSR1, before)
    assert came > 500
    assert time.monotonic() - began < 60
