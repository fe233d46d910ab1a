"""How soon the console shows what happens and answers a key while its engine trains, and how long its loop is held up.

As a script (`python -m benchmarks.reaction FILE …`) it is a console that writes when each callback of its event loop
ended, and its CPU time, to a file when it ends.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.live import training
from benchmarks.rows import Effort, Row, at_most
from benchmarks.terminal import PATIENCE, Terminal
from engine.contract.store.run_directory import list_runs

PIXELS_GOAL = (250.0, 500.0)  # ms: median, 95 of 100
KEY_GOAL = 250.0  # ms
HANDLER_GOAL = 50.0  # ms of thread CPU, 99 of 100
WORTH_COUNTING = 1e-3  # seconds: shorter callbacks would only thin the figure out
ROUNDS = 40  # of pause and resume
SETTLED = 2.0  # seconds after the last key until a screen is only watched


def measure(effort: Effort) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        seconds = Path(folder) / "callbacks.json"
        program = [sys.executable, "-m", "benchmarks.reaction", str(seconds)]
        with training(Path(folder), program) as (terminal, workspace):
            live = _watch_live(20.0 if effort.quick else 60.0)
            keys, pixels = _reactions(terminal, workspace, 10 if effort.quick else ROUNDS)
            _visit_screens(terminal)
            terminal.type("q")
            terminal.wait_for("leave it running", after=len(terminal.received) - 1)
            terminal.type("y")
            terminal.process.wait(PATIENCE)
        callbacks = [(at, 1e3 * taken) for at, taken in json.loads(seconds.read_text())]
    return [*_rows(keys, pixels), *_handler_rows(callbacks, live)]


def _rows(keys: list[float], pixels: list[float]) -> list[Row]:
    return [
        at_most(Row("reaction", "event to pixels, median", "ms", [statistics.median(pixels)]), PIXELS_GOAL[0]),
        at_most(Row("reaction", "event to pixels, p95", "ms", [quantile(pixels, 0.95)]), PIXELS_GOAL[1]),
        at_most(Row("reaction", "key to acknowledgement, p95", "ms", [quantile(keys, 0.95)]), KEY_GOAL),
    ]


def _handler_rows(callbacks: list[tuple[float, float]], span: tuple[float, float]) -> list[Row]:
    """The goal is for a live screen that is watched. A visit to every screen draws each from nothing."""
    began, ended = span
    live = [taken for at, taken in callbacks if began <= at < ended]
    every = [taken for _, taken in callbacks]
    what = f"live screen, {ended - began:.0f} s: callbacks ≥ 1 ms ({len(live):,}): CPU"
    visited = f"every screen visited: callbacks ≥ 1 ms ({len(every):,}): CPU"
    return [
        at_most(Row("reaction", f"{what}, p99", "ms", [quantile(live, 0.99)]), HANDLER_GOAL),
        Row("reaction", f"{what}, longest", "ms", [max(live)]),
        Row("reaction", f"{visited}, p99", "ms", [quantile(every, 0.99)]),
        Row("reaction", f"{visited}, longest", "ms", [max(every)]),
    ]


def quantile(values: list[float], fraction: float) -> float:
    found = sorted(values)
    return found[min(len(found) - 1, int(fraction * len(found)))]


def _watch_live(length: float) -> tuple[float, float]:
    """From when to when the live screen was watched, and no key pressed."""
    time.sleep(SETTLED)
    began = time.time()
    time.sleep(length)
    return began, time.time()


def _reactions(terminal: Terminal, workspace: Path, rounds: int) -> tuple[list[float], list[float]]:
    """ms from the key `p` to its first trace on the screen, and from the engine's event to its text."""
    keys, pixels = [], []
    for round_ in range(rounds):
        for word, phase in (("‖ paused", "paused"), ("● training", "training")):
            time.sleep(0.3 + 0.037 * (round_ % 10))  # at any point between two looks of the console
            mark = len(terminal.received)
            pressed = time.perf_counter()
            terminal.write(b"p")
            keys.append(1e3 * (terminal.wait_for("sent, waiting", "accepted", after=mark, enough=any) - pressed))
            terminal.wait_for(word, after=mark)
            shown = time.time()
            pixels.append(1e3 * (shown - _entered(workspace, phase)))
    return keys, pixels


def _entered(workspace: Path, phase: str) -> float:
    """When the engine last entered a phase, according to its journal."""
    lines = list_runs(workspace / "outputs")[-1].journal.path.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return max(event["time"] for event in events if event["event"] == "phase.changed" and event["phase"] == phase)


def _visit_screens(terminal: Terminal) -> None:
    """Every screen, a field, the kill switch, help and palette, while it trains."""
    for keys in ("1", "jjjkkk", "l", "jj", "\r", "7", "\x1b", "\x1b", "2", "3", "yyssxxv", "\x1b", "4", "s", "3"):
        terminal.type(*([keys] if keys.startswith("\x1b") else keys))
        time.sleep(0.7)
    for keys in ("?", "\x1b", "S", "\x1b", "\x10", "\x1b", "]]]", "3"):
        terminal.type(*([keys] if keys.startswith("\x1b") else keys))
        time.sleep(0.7)


def _measuring_console(file: Path, arguments: list[str]) -> None:
    """`medtui` with a timer on every callback of its event loop: while one runs, no key is handled."""
    import asyncio

    from medtui.cli import main

    taken: list[tuple[float, float]] = []
    run = asyncio.Handle._run  # type: ignore[attr-defined]

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        spent = time.thread_time() - began
        if spent >= WORTH_COUNTING:
            taken.append((time.time(), spent))

    asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]
    sys.argv = ["medtui", *arguments]
    try:
        main()
    finally:
        file.write_text(json.dumps(taken))


if __name__ == "__main__":
    _measuring_console(Path(sys.argv[1]), sys.argv[2:])
