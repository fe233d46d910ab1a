"""A thousand runs in `outputs/`, and ten thousand: how long until they are listed, by the client, in a shell and on the
screen."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from benchmarks.children import MEDTUI, PATIENCE, environment, wall
from benchmarks.rows import Effort, Row, at_most, seconds
from benchmarks.stand_in import tiny_recipe
from benchmarks.terminal import console
from engine.contract.store.run_directory import RunDirectory, list_runs, make_parts
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Train

RUNS, MANY = 1000, 10_000
GOAL, LISTED_GOAL, FILTER_GOAL = 0.5, 1.0, 0.2  # seconds
FILTER = "dataset:cells lr>=1e-3 acc>0.1 -tag:bad outcome:completed date>=2025-03 mini"


def measure(effort: Effort) -> list[Row]:
    repeats = effort.at_most(5).pairs
    with workspace_of(RUNS) as workspace:
        listed = [seconds(lambda: _list_anew(workspace)) for _ in range(repeats)]
        shown = _shown(workspace, repeats)
    with workspace_of(MANY) as workspace:
        first = seconds(lambda: _list_anew(workspace))
        command = [*MEDTUI, "runs", "--workspace", str(workspace.root)]
        again = [wall(command, environment()) for _ in range(repeats + 1)][1:]  # the first reads what was unsettled
        filtered = _filtered(workspace, repeats)
    return [
        at_most(Row("many_runs", f"{RUNS:,} runs listed, without an index", "s", listed), GOAL),
        Row("many_runs", f"{RUNS:,} runs: key 4 to the table, first time", "s", shown),
        Row("many_runs", f"{MANY:,} runs listed for the first time, which makes the index", "s", [first]),
        at_most(Row("many_runs", f"{MANY:,} runs: `medtui runs`, the whole command", "s", again), LISTED_GOAL),
        at_most(Row("many_runs", f"{MANY:,} runs: a filter of seven terms", "s", filtered), FILTER_GOAL),
    ]


@contextmanager
def workspace_of(number: int) -> Iterator[Workspace]:
    """With so many runs, and a cache of its own, where the index lies."""
    with tempfile.TemporaryDirectory() as folder:
        apart = {"MEDTUI_CACHE": f"{folder}/cache", "MEDTUI_SETTINGS": f"{folder}/settings.yaml"}
        with mock.patch.dict(os.environ, apart):
            workspace = Workspace(Path(folder) / "work")
            workspace.root.mkdir()
            make_runs(workspace, number)
            yield workspace


def make_runs(workspace: Workspace, number: int) -> None:
    """One real run, and copies of its folders and descriptive files."""
    first = _train(workspace)
    manifest = json.loads(first.manifest.path.read_text())
    for day in range(number - 1):
        run = RunDirectory(workspace.outputs / f"20250101_cells_mini-cnn_{day:06x}")
        run.root.mkdir()
        make_parts(run)
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


def _list_anew(workspace: Workspace) -> None:
    from medtui.client.run_index import index_file, run_rows

    index_file(workspace.outputs).delete()
    run_rows(workspace.outputs)


def _filtered(workspace: Workspace, repeats: int) -> list[float]:
    from medtui.client.run_filter import parse_filter
    from medtui.client.run_index import run_rows

    rows = run_rows(workspace.outputs)
    return [seconds(lambda: parse_filter(FILTER).of(rows)) for _ in range(repeats)]


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
