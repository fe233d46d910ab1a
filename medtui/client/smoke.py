"""A tiny run of the full pipeline in a temporary workspace: does everything work on this machine?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract.store.checkpoint_file import verified_digest
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError, RunFailed
from engine.contract.wire.jobs import Train
from medtui.client.evaluate import evaluate_run
from medtui.client.job import do_job
from medtui.client.state import RunState
from medtui.sentences import Disk, Smoke

RECIPE: dict[str, dict[str, Any]] = {
    "dataset": {"name": "cells", "limit": 96},
    "model": {"name": "mini_cnn"},
    "training": {"epochs": 2, "batch_size": 16},
}


@dataclass(frozen=True)
class Step:
    """One part of the pipeline that worked."""

    what: str
    seconds: float


def smoke(
    cancelled: Callable[[], bool] = lambda: False, on_step: Callable[[Step], None] = lambda step: None
) -> list[Step]:
    """Train, evaluate, report, read the weights back and evaluate again. Raises the error of what does not work."""
    steps: list[Step] = []

    def done(what: str, seconds: float) -> None:
        steps.append(Step(what, seconds))
        on_step(steps[-1])

    with _temporary_folder() as folder:
        workspace = Workspace(Path(folder))
        began = time.time()
        state = do_job(Train(id="start", by="smoke", recipe=RECIPE), workspace, cancelled)
        for what, seconds in _parts(state, began):
            done(what, seconds)
        run = _checked(state)
        began = time.time()
        again = evaluate_run(run, workspace, [], tta=None, by="smoke", cancelled=cancelled)
        if again.metrics != state.evaluations[-1].metrics:
            raise RunFailed(Smoke.RESULTS_DIFFER)
        done("weights read back, identical results", time.time() - began)
    return steps


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="medtui-smoke-")
    except OSError as error:
        raise OutputError(Disk.NO_TEMPORARY_FOLDER, reason=error.strerror) from None


def _parts(state: RunState, began: float) -> list[tuple[str, float]]:
    """How long each part took, by the engine's events."""
    assert state.started is not None and state.finished is not None
    trained = state.epochs[-1].time
    tested = state.evaluations[-1].time
    return [
        ("engine started, data and model ready", state.started.time - began),
        ("trained 2 epochs", trained - state.started.time),
        ("test split evaluated", tested - trained),
        (f"{len(state.artifacts)} artifacts written", state.finished.time - tested),
    ]


def _checked(state: RunState) -> RunDirectory:
    """Its run, with every artifact present and the weights verified. Raises RunFailed or CheckpointError."""
    assert state.finished is not None
    if state.finished.outcome != "completed" or state.finished.run_dir is None:
        raise RunFailed(Smoke.NOT_COMPLETED, outcome=state.finished.outcome)
    run = RunDirectory(Path(state.finished.run_dir))
    for artifact in state.artifacts:
        if not run.folder.file(artifact.path).is_regular:
            raise RunFailed(Smoke.ARTIFACT_MISSING, path=artifact.path)
    verified_digest(run.best)
    return run
