"""From a command to the first trained batch: `medtui run` and a warm engine, compared with importing torch."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.children import MEDTUI, PATIENCE, environment, wall
from benchmarks.rows import Effort, Row, alternating
from benchmarks.stand_in import tiny_recipe
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Train
from engine.contract.wire.protocol import Abort, Progress, parse_event
from medtui.client.engine_process import EngineProcess

IMPORT = [sys.executable, "-c", "import torch, torchvision"]
IDLE = 0.3  # seconds without using the processor


def measure(effort: Effort) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        run_seconds(workspace)  # the first one draws the data set
        imports = environment()
        cold, importing = alternating(
            effort.at_most(7).pairs, lambda: run_seconds(workspace), lambda: wall(IMPORT, imports)
        )
        warm, cold_again = alternating(
            effort.at_most(5).pairs, lambda: warm_seconds(workspace), lambda: run_seconds(workspace)
        )
    return [
        Row("first_batch", "medtui run to first batch", "s", cold, "import torch, torchvision", importing),
        Row("first_batch", "warm engine to first batch", "s", warm, "medtui run to first batch", cold_again),
    ]


def run_seconds(workspace: Path) -> float:
    """Seconds from starting `medtui run` until it reports the first batch; then the run is aborted."""
    recipe = workspace / "tiny.yaml"
    recipe.write_text(json.dumps(tiny_recipe(training={"epochs": 1000})))  # JSON is YAML
    command = [*MEDTUI, "run", str(recipe), "--workspace", str(workspace), "--json"]
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if _is_first_batch(line):
                taken = time.perf_counter() - began
                run.send_signal(signal.SIGTERM)
                run.stdout.read()
                return taken
    raise RuntimeError(f"medtui run ended with {run.returncode} before its first batch")


def warm_seconds(workspace: Path) -> float:
    """Seconds from a start command to the first batch, of an engine with its imports done."""
    engine = EngineProcess(Workspace(workspace), warm=True)
    try:
        _await_idle(psutil.Process(engine.pid))
        began = time.perf_counter()
        engine.send(Train(id="start", by="benchmark", recipe=tiny_recipe(training={"epochs": 1000})))
        while (received := engine.receive(PATIENCE)) is not None:
            if _is_first_batch(received[0]):
                taken = time.perf_counter() - began
                engine.send(Abort(id="abort", by="benchmark"))
                return taken
    finally:
        while True:
            try:
                if engine.receive(PATIENCE) is None:
                    break
            except queue.Empty:
                engine.kill()
        engine.wait(PATIENCE)
    raise RuntimeError("the warm engine ended before its first batch")


def _is_first_batch(line: bytes) -> bool:
    event = parse_event(line)
    return isinstance(event, Progress) and bool(event.step)


def _await_idle(process: psutil.Process) -> None:
    """Until it has imported something and no longer uses the processor."""
    used, since = 0.0, time.monotonic()
    deadline = since + PATIENCE
    while time.monotonic() < deadline:
        times = process.cpu_times()
        if times.user + times.system > used:
            used, since = times.user + times.system, time.monotonic()
        if used > 0.5 and time.monotonic() - since > IDLE and process.memory_info().rss > 150e6:
            return
        time.sleep(0.05)
    raise RuntimeError("the engine did not become warm")
