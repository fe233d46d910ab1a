"""The cost of reporting: CPU time spent on journal, status file and pipe, as a fraction of training's.

As a script (`python -m benchmarks.event_cost WORKSPACE RECIPE`) it runs an engine with timers on its threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.children import ask, environment
from benchmarks.rows import Effort, Row
from benchmarks.stand_in import tiny_recipe


def measure(effort: Effort) -> list[Row]:
    repeats = effort.at_most(1 if effort.quick else 3).pairs
    sizes = {"limit": 640}
    recipe = json.dumps(tiny_recipe(dataset=sizes, training={"epochs": 4 if effort.quick else 10, "batch_size": 64}))
    with tempfile.TemporaryDirectory() as folder:
        own = environment()
        found = [ask("event_cost", folder, recipe, environment=own) for _ in range(repeats)]
    words = {"journal": "events and journal", "heartbeat": "status file, heartbeat", "pipe": "pipe"}
    rows = [
        Row("event_cost", f"{word}: fraction of training CPU (mini_cnn)", "%", [_fraction(one, kind) for one in found])
        for kind, word in words.items()
    ]
    together = [sum(_fraction(one, kind) for kind in words) for one in found]
    return [*rows, Row("event_cost", "reporting, total (mini_cnn)", "%", together)]


def _fraction(found: dict[str, float], kind: str) -> float:
    return 100 * found[kind] / found["training"]


class Watches:
    """CPU seconds of threads and calls while the engine trains."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.training = False

    def count_time(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, its thread's CPU time counted while training."""

        def timed(*arguments: Any, **named: Any) -> Any:
            counted, began = self.training, time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                if counted:
                    self.spent[kind] += time.thread_time() - began

        return timed


def _timed_run(workspace: Path, recipe: str) -> dict[str, float]:
    """A whole session in this process; CPU seconds by kind, and of all threads, while it trained."""
    import engine.session as session
    from engine.contract.store.workspace import Workspace
    from engine.contract.wire.jobs import Train
    from engine.contract.wire.protocol import PhaseChanged
    from engine.events import EventStream, Pipe
    from engine.process import Arrivals

    watches = Watches()
    began_at = 0.0

    class TimedStream(EventStream):
        emit = watches.count_time("journal", EventStream.emit)
        snapshot = watches.count_time("journal", EventStream.snapshot)
        sync_journal = watches.count_time("journal", EventStream.sync_journal)

    # The two threads are counted whole: they begin before training and end after it.
    class TimedPipe(Pipe):
        def _write(self) -> None:
            super()._write()
            watches.spent["pipe"] += time.thread_time()

    class TimedSession(session.Session):
        def _heartbeat_loop(self, arrivals: Arrivals) -> None:
            super()._heartbeat_loop(arrivals)
            watches.spent["heartbeat"] += time.thread_time()

    commands_in, commands = os.pipe()
    events_out, events_in = os.pipe()
    session.EventStream, session.Pipe = TimedStream, TimedPipe  # type: ignore[misc]
    engine = TimedSession(events_in, commands_in, Workspace(workspace))
    enter = engine.stream.emit

    def emit(event: Any) -> None:
        nonlocal began_at
        if isinstance(event, PhaseChanged):
            if event.phase == "training":
                began_at, watches.training = time.process_time(), True
            elif watches.training:
                watches.training = False
                watches.spent["training"] = time.process_time() - began_at
        enter(event)

    engine.stream.emit = emit  # type: ignore[method-assign]
    with os.fdopen(events_out, "rb") as reading:
        subprocess.Popen(["cat"], stdin=reading, stdout=subprocess.DEVNULL)  # a reader that keeps up; ends with us
    os.write(commands, Train(id="start", by="benchmark", recipe=json.loads(recipe)).line())
    if (code := engine.run()) != 0:
        raise RuntimeError(f"the run ended with {code}")
    return dict(watches.spent)


if __name__ == "__main__":
    result_out = os.fdopen(os.dup(1), "w")
    print(json.dumps(_timed_run(Path(sys.argv[1]), sys.argv[2])), file=result_out, flush=True)
