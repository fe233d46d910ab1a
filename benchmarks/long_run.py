"""3,000 epochs of a tiny model: the engine's memory stays flat, its files small, and `medtui show` answers at once.

On request only (`--only long_run`): it takes minutes.
"""

from __future__ import annotations

import queue
import tempfile
from pathlib import Path

import psutil

from benchmarks.children import MEDTUI, PATIENCE, environment, wall
from benchmarks.rows import Effort, Row, at_most, at_most_ratio
from benchmarks.stand_in import tiny_recipe
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Train
from engine.contract.wire.protocol import EpochFinished
from medtui.client.engine_process import EngineProcess

EPOCHS = 3000
READINGS = 30  # at the memory; the first three are warm-up
MB = 1e6


def measure(effort: Effort) -> list[Row]:
    epochs = EPOCHS // 10 if effort.quick else EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        resident = _train(workspace, epochs)
        [run] = [path.parent for path in workspace.glob("outputs/*/manifest.json")]
        journal, status = ((run / name).stat().st_size for name in ("events.jsonl", "status.json"))
        show = [*MEDTUI, "show", "last", "--json", "--workspace", folder]
        shown = [wall(show, environment()) for _ in range(effort.pairs)]
    warm = resident[3]
    return [
        at_most_ratio(
            Row("long_run", f"memory after {epochs:,} epochs", "MB", [resident[-1]], "after warm-up", [warm]), 1.05
        ),
        Row("long_run", "journal per epoch", "KB", [journal / epochs / 1e3]),
        Row("long_run", "status.json", "KB", [status / 1e3]),
        at_most(Row("long_run", "medtui show last --json afterwards", "s", shown), 0.5),
    ]


def _train(workspace: Path, epochs: int) -> list[float]:
    """Resident MB of the engine, at READINGS epochs evenly spaced."""
    recipe = tiny_recipe(dataset={"limit": 16}, training={"epochs": epochs, "patience": None})
    engine = EngineProcess(Workspace(workspace))
    engine.send(Train(id="start", by="benchmark", recipe=recipe))
    process = psutil.Process(engine.pid)
    resident: list[float] = []
    try:
        while (received := engine.receive(PATIENCE)) is not None:
            event = received[1]
            if isinstance(event, EpochFinished) and event.epoch % (epochs // READINGS) == 0:
                resident.append(process.memory_info().rss / MB)
    except queue.Empty:
        engine.kill()
    if code := engine.wait(PATIENCE):
        raise RuntimeError(f"the run ended with {code}")
    return resident
