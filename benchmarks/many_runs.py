"""A thousand runs in `outputs/`: how long until they are listed, by the client and on the screen."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.children import PATIENCE, environment
from benchmarks.rows import Effort, Row, at_most, seconds
from benchmarks.stand_in import tiny_recipe
from benchmarks.terminal import console
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Train

RUNS = 1000
GOAL = 0.5  # seconds


def measure(effort: Effort) -> list[Row]:
    from medtui.client.runs import run_rows

    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        make_runs(workspace, RUNS)
        repeats = effort.at_most(5).pairs
        listed = [seconds(lambda: run_rows(workspace.outputs)) for _ in range(repeats)]
        shown = _shown(workspace, repeats)
    return [
        at_most(Row("many_runs", f"{RUNS:,} runs listed", "s", listed), GOAL),
        Row("many_runs", f"{RUNS:,} runs: key 4 to the table, first time", "s", shown),
    ]


def make_runs(workspace: Workspace, number: int) -> None:
    """One real run, and copies of its descriptive files."""
    first = _train(workspace)
    manifest = json.loads(first.manifest.path.read_text())
    for day in range(number - 1):
        run = RunDirectory(workspace.outputs / f"20250101_cells_mini-cnn_{day:06x}")
        run.root.mkdir()
        for name in ("status.json", "events.jsonl", "recipe.yaml"):
            shutil.copy(first.root / name, run.root / name)
        started = f"2025-{1 + day % 12:02}-{1 + day % 28:02}T{day % 24:02}:00:00+00:00"
        run.manifest.path.write_text(json.dumps(manifest | {"run": run.name, "started": started}))


def _train(workspace: Workspace) -> RunDirectory:
    from medtui.client.engine_process import EngineProcess

    engine = EngineProcess(workspace)
    engine.send(Train(id="start", by="benchmark", recipe=tiny_recipe(training={"epochs": 30})))
    while engine.receive(PATIENCE) is not None:
        pass
    if (code := engine.wait(PATIENCE)) != 0:
        raise RuntimeError(f"the run ended with {code}")
    return list_runs(workspace.outputs)[-1]


def _shown(workspace: Workspace, repeats: int) -> list[float]:
    """Seconds from the key to the table's title, each in a separate console."""
    taken = []
    for _ in range(repeats):
        with console(workspace.root, environment()) as terminal:
            terminal.wait_for("before you run", "steps")
            began = time.perf_counter()
            terminal.write(b"4")
            taken.append(terminal.wait_for(f"runs · {RUNS}") - began)
    return taken
