"""The client's end of the pipe to an engine."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contract.files.folders import file_at
from engine.contract.store.run_log import format_log_lines
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import PhaseChanged
from medtui.client.engine_process import EngineProcess


@pytest.fixture
def silent_engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """One that has said hello and waits."""
    engine = EngineProcess(Workspace(tmp_path), warm=True)
    engine.receive(60)
    yield engine
    engine.kill()
    engine.wait(10)


def test_polling_for_events_ends_in_time_whenever_a_ctrl_c_comes(silent_engine: EngineProcess) -> None:
    """Signals at every moment of the wait, its last microseconds too (where queue.SimpleQueue waits forever)."""
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
        while came <= 500:
            with pytest.raises(queue.Empty):
                silent_engine.receive(0.001)
    finally:
        over.set()
        bombarding.join()
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - began < 60


def test_of_a_run_log_of_any_size_only_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    with log.open("wb") as file:
        file.truncate(50 * 10**9)
        file.seek(0, 2)
        file.write(b"the last line\n")
    engine = EngineProcess(Workspace(tmp_path))
    try:
        assert engine.last_output(file_at(log)).strip("\0") == "the last line"
    finally:
        engine.kill()
        engine.wait(10)


def test_the_last_output_of_an_engine_excludes_the_events_of_the_run(tmp_path: Path) -> None:
    """An interpreter that dies by a signal reports it on standard error, not as an event."""
    told = [format_log_lines(PhaseChanged(time=1.7e9 + second, phase="training")) for second in range(5000)]
    (tmp_path / "run.log").write_text("".join([*told, "Fatal Python error: Bus error\n", told[0]]))
    engine = EngineProcess(Workspace(tmp_path))
    try:
        assert engine.last_output(file_at(tmp_path / "run.log")) == "Fatal Python error: Bus error"
    finally:
        engine.kill()
        engine.wait(10)
