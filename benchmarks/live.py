"""The live screen: its cost in training speed, CPU and terminal output.

A real console in a terminal of 120 × 40, and its real engine.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from benchmarks.children import environment
from benchmarks.rows import Effort, Row, alternating, at_least, at_most
from benchmarks.stand_in import tiny_recipe
from benchmarks.terminal import CONSOLE, Terminal, console
from engine.contract.store.run_directory import list_runs
from engine.contract.store.status import Status, read_status

ATTACHED_GOAL = 0.97  # of the throughput without a reader
CPU_GOAL = 3.0  # % of a core
BYTES_GOAL = 10.0  # KB/s
STALL = 30.0  # seconds that a terminal is not read
WINDOW = 12.0  # seconds of training per half pair
SETTLE = 2.0  # seconds between windows
EPOCH = 5.0  # seconds, at least, so that an epoch is worth watching


def measure(effort: Effort) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, training(Path(folder)) as (terminal, workspace):
        rows = _quiet_costs(terminal, 20.0 if effort.quick else 60.0)
        _check_epochs(workspace)
        return rows + _throughput(terminal, workspace, effort)


@contextmanager
def training(workspace: Path, program: Sequence[str] = CONSOLE) -> Iterator[tuple[Terminal, Path]]:
    """A console whose engine trains, with the live screen shown."""
    recipe = tiny_recipe(dataset={"limit": None}, training={"epochs": 1000, "batch_size": 2, "patience": None})
    (workspace / "watched.yaml").write_text(json.dumps(recipe))
    with console(workspace, environment(), program=program) as terminal:
        terminal.wait_for("before you run", "steps")
        terminal.type("/", *"watched", "\r", "j")
        terminal.wait_for("watched.yaml")
        began = len(terminal.received)
        terminal.type("r")
        terminal.wait_for("★", after=began, patience=600.0)  # the first epoch is over
        yield terminal, workspace


def _quiet_costs(terminal: Terminal, length: float) -> list[Row]:
    """The cost of an idle screen while it trains."""
    cpu, sent, began = terminal.cpu(), len(terminal.received), time.perf_counter()
    time.sleep(length)
    taken = time.perf_counter() - began
    fraction = 100 * (terminal.cpu() - cpu) / taken
    rate = (len(terminal.received) - sent) / taken / 1000
    return [
        at_most(Row("live", f"live screen, 120 x 40, {length:.0f} s: CPU of a core", "%", [fraction]), CPU_GOAL),
        at_most(Row("live", f"live screen, 120 x 40, {length:.0f} s: to the terminal", "KB/s", [rate]), BYTES_GOAL),
    ]


def _throughput(terminal: Terminal, workspace: Path, effort: Effort) -> list[Row]:
    attached = step_times(terminal, workspace, effort.pairs)
    stalled = step_times(terminal, workspace, effort.at_most(3).pairs, STALL, terminal.unread)
    rows = []
    for words, (ours, other) in (("reading", attached), ("not reading for 30 s", stalled)):
        row = Row("live", f"training step (mini_cnn), terminal {words}", "ms", ours, "no reader", other, faster=True)
        rows.append(at_least(row, ATTACHED_GOAL))
    return rows


def step_times(
    terminal: Terminal,
    workspace: Path,
    pairs: int,
    window: float = WINDOW,
    condition: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[list[float], list[float]]:
    """ms per step in alternating windows of one run: watched, in this condition, and with a console that sleeps."""

    def during(state: AbstractContextManager[None]) -> float:
        with state:
            time.sleep(SETTLE)
            return 1e3 * _step_seconds(workspace, window)

    return alternating(pairs, lambda: during(condition()), lambda: during(asleep(terminal)))


@contextmanager
def asleep(terminal: Terminal) -> Iterator[None]:
    """The console is stopped meanwhile (SIGSTOP)."""
    os.kill(terminal.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(terminal.process.pid, signal.SIGCONT)


def _step_seconds(workspace: Path, length: float) -> float:
    """Seconds per training step, from heartbeats over a while, without what validation takes.

    The steps of each epoch are counted by themselves: between its first and its last heartbeat it only trained.
    """
    seen: dict[int, list[tuple[int, float]]] = {}  # by epoch: (steps, at)
    deadline = time.perf_counter() + length
    while time.perf_counter() < deadline:
        progress = _status(workspace).progress
        if progress is not None and progress.step is not None and progress.epoch is not None:
            heartbeats = seen.setdefault(progress.epoch, [])
            if not heartbeats or heartbeats[-1][0] != progress.step:
                heartbeats.append((progress.step, progress.time))
        time.sleep(0.1)
    parts = [(beats[-1][0] - beats[0][0], beats[-1][1] - beats[0][1]) for beats in seen.values()]
    steps = sum(steps for steps, _ in parts)
    if not steps:
        raise RuntimeError(f"no step was trained in {length:.0f} s")
    return sum(seconds for _, seconds in parts) / steps


def _status(workspace: Path) -> Status:
    status = read_status(list_runs(workspace / "outputs")[-1])
    if status is None:
        raise RuntimeError("the run has no heartbeat")
    return status


def _check_epochs(workspace: Path) -> None:
    """The numbers are for long epochs."""
    journal = list_runs(workspace / "outputs")[-1].journal.path.read_text()
    events = [json.loads(line) for line in journal.splitlines()]
    seconds = statistics.median(event["seconds"] for event in events if event["event"] == "epoch.finished")
    if seconds < EPOCH:
        raise RuntimeError(f"expected epochs of {EPOCH:.0f} s or more, found {seconds:.1f} s")
