"""A reader that stops reading, or goes away, costs the engine nothing and misses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from driving import MEDTUI, PATIENCE, Engine, tiny, yaml_of

from engine.contract.store.journal import read_journal
from engine.contract.store.run_directory import RunDirectory

LONG = tiny(training={"epochs": 100_000, "batch_size": 16, "patience": None})
SMALL = tiny(dataset={"limit": 16}, training={"epochs": 100_000, "batch_size": 16, "patience": None})


def epochs_within(run: RunDirectory, begin: float, end: float) -> int:
    return sum(e.event == "epoch.finished" and begin <= e.time < end for e in read_journal(run.journal))


PIPE = 64 * 1024  # bytes that a pipe holds on Linux


@contextmanager
def client_of(workspace: Path, recipe: dict[str, Any]) -> Iterator[tuple[subprocess.Popen[bytes], RunDirectory]]:
    """A client of a run, once it has seen an epoch. Asserts in the end that it saw every state event."""
    (workspace / "long.yaml").write_text(yaml_of(recipe))
    output = workspace / "events"
    with output.open("wb") as file:
        client = subprocess.Popen(
            [*MEDTUI, "run", "long.yaml", "--json"], cwd=workspace, stdout=file, stderr=subprocess.DEVNULL
        )
    try:
        run = RunDirectory(Path(wait_for(output, "epoch.finished", of="run.started")["run_dir"]))
        yield client, run
        client.send_signal(signal.SIGTERM)
        assert client.wait(PATIENCE) == 7
    finally:
        client.kill()
    seen = [json.loads(line).get("seq") for line in output.read_bytes().splitlines()]
    numbers = [number for number in seen if number is not None]
    assert numbers == list(range(1, len(numbers) + 1)), "there is a gap"
    assert numbers[-1] == list(read_journal(run.journal))[-1].seq


def stalled(workspace: Path, seconds: float) -> float:
    """Stall a client for so long; the engine's pace then, relative to its pace in spans of a third before and after."""
    with client_of(workspace, LONG) as (client, run):
        marks = [time.time()]
        for number, span in ((signal.SIGCONT, seconds / 3), (signal.SIGSTOP, seconds), (signal.SIGCONT, seconds / 3)):
            client.send_signal(number)
            time.sleep(span)
            marks.append(time.time())
    before, during, after = (epochs_within(run, *span) for span in pairwise(marks))
    assert during > 0
    return (during / 3) / ((before + after) / 2)


def wait_for(output: Path, event: str, of: str) -> dict[str, Any]:
    """The event named `of`, once `event` is there too."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        events = [json.loads(line) for line in output.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        if any(e["event"] == event for e in events):
            return next(e for e in events if e["event"] == of)
        time.sleep(0.05)
    raise AssertionError(f"no {event} within {PATIENCE:.0f} s")


@pytest.mark.slow
def test_a_reader_that_stalls_until_its_pipe_is_full_sees_no_gap_and_stops_nothing(tmp_path: Path) -> None:
    with client_of(tmp_path, SMALL) as (client, run):
        client.send_signal(signal.SIGSTOP)
        full, deadline = run.journal.size + PIPE + PIPE // 4, time.monotonic() + PATIENCE
        while run.journal.size < full:
            assert time.monotonic() < deadline, "the engine waits for its reader"
            time.sleep(0.05)
        client.send_signal(signal.SIGCONT)


@pytest.mark.slow
def test_a_reader_that_stalls_for_ten_seconds_slows_nothing(tmp_path: Path) -> None:
    assert stalled(tmp_path, 10.0) > 0.5, "other tests run beside this one; `make faults` asks for more"


@pytest.mark.exhaustive
def test_a_reader_that_stalls_for_a_minute_sees_no_gap_and_slows_nothing(tmp_path: Path) -> None:
    assert stalled(tmp_path, 60.0) > 0.9


def test_a_reader_that_disconnects_leaves_no_traceback(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    try:
        engine.train(tiny(training={"epochs": 8, "batch_size": 16, "patience": None}))
        run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
        engine.stop_reading()
        assert engine.process.wait(PATIENCE) == 0
    finally:
        engine.kill()
    assert list(read_journal(run.journal))[-1].outcome == "completed"
    log = run.log.path.read_text()
    assert "Traceback" not in log
    assert os.strerror(32) not in log
