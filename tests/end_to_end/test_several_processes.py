"""One run by several processes: as by one, bit for bit when repeated, and none is left behind, whoever dies."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from driving import PATIENCE, Engine, tiny

from engine.contract.store.checkpoint_file import weights_digest
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.sentences import Failure
from engine.train.checkpoint import load_weights

# 12 steps per epoch, the last of 4 images; what draws at random, and an average, with batch normalisation
TRAINING = {"epochs": 2, "batch_size": 16, "mixup_alpha": 0.2, "ema_decay": 0.9, "lr": 0.02}
TWO = {"reproducible": True, "threads": 1, "processes": 2, "checkpoint_minutes": 1e-6}
RECIPE = tiny(dataset={"limit": 180}, training=TRAINING, runtime=TWO)
ROOT = Path(__file__).resolve().parents[2]
WORKER = "engine.run.ranks.worker"


class Run:
    """An engine that trains, and the processes that it started."""

    def __init__(self, workspace: Path, recipe: dict[str, Any] | None = None, **more: Any) -> None:
        """Without a recipe the only run of the workspace is resumed."""
        workspace.mkdir(exist_ok=True)
        self.engine = Engine(workspace)
        if recipe is None:
            (run,) = list_runs(workspace / "outputs")
            self.engine.send("start", id="start", job="train", resume=str(run.root))
        else:
            self.engine.train(recipe)
        self.directory = RunDirectory(Path(self.engine.wait_for_event("run.started")["run_dir"]))

    def in_training(self, step: int) -> psutil.Process:
        """The other process, once that many steps are done in any epoch."""
        self.engine.wait_for(lambda e: e["event"] == "checkpoint.saved" and e["position"]["step"] >= step)
        (other,) = self.others()
        return other

    def others(self) -> list[psutil.Process]:
        return [one for one in psutil.Process(self.engine.process.pid).children() if WORKER in one.cmdline()]

    def finished(self) -> dict[str, Any]:
        event = self.engine.wait_for_event("run.finished")
        assert self.engine.end() == event["exit_code"]
        return event


def is_gone(process: psutil.Process) -> bool:
    """Within a moment."""
    gone, _ = psutil.wait_procs([process], timeout=10)
    return bool(gone) or process.status() == psutil.STATUS_ZOMBIE


def results(run: RunDirectory) -> tuple[str, ...]:
    (scores,) = run.metrics.path.glob("*_test_*.csv")
    return weights_digest(run.best), (run.metrics.path / "history.csv").read_text(), scores.read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = Run(tmp_path_factory.mktemp("undisturbed"), RECIPE)
    assert run.finished()["outcome"] == "completed"
    return run.directory


@pytest.mark.slow
def test_a_run_of_two_processes_ends_the_same_whatever_happens_to_it(tmp_path: Path, undisturbed: RunDirectory) -> None:
    """The second process dies, the engine dies, a scheduler warns all processes while it is paused; each time none is
    left, and the run is resumed: in the end weights, history and scores are an undisturbed run's, bit for bit."""
    run = Run(tmp_path, RECIPE)
    run.in_training(2).kill()
    error = run.finished()["error"]
    assert (error["code"], run.engine.process.returncode) == (Failure.PROCESS_LOST.code, 5)
    assert "Process 2 of the 2 of this run ended (SIGKILL)" in error["message"]

    run = Run(tmp_path)
    other = run.in_training(5)
    run.engine.kill()
    assert is_gone(other)

    run = Run(tmp_path)
    other = run.in_training(8)
    for number in (
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGINT,
        signal.SIGHUP,
    ):  # the engine acts on those that it gets
        other.send_signal(number)
    run.engine.send("pause", id="p")
    run.engine.wait_for_phase("paused")
    assert other.status() != psutil.STATUS_ZOMBIE, "these are the engine's to act on"
    os.killpg(run.engine.process.pid, signal.SIGTERM)
    assert (run.finished()["outcome"], is_gone(other)) == ("aborted", True)

    run = Run(tmp_path)
    assert run.finished()["outcome"] == "completed"
    assert results(run.directory) == results(undisturbed)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """To 1e-5, for a model without batch normalisation: weights, history and scores. The second process is started as
    `srun` does it on another machine: the engine waits for it at an address."""
    model = {"name": "timm/test_convnext", "pretrained": False, "stochastic_depth": 0.0, "input_size": 64}
    recipe = tiny(
        dataset={"limit": 52}, model=model, training={**TRAINING, "amp": False}, runtime={"reproducible": True}
    )
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    alone = Engine(tmp_path / "one")
    alone.train(recipe)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    command = [sys.executable, "-P", "-m", WORKER, address, "1"]
    worker = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    together = Engine(tmp_path / "two", environment={"MEDTUI_RANKS": address})
    together.train({**recipe, "runtime": {**recipe["runtime"], "processes": 2}})
    try:
        one, two = (
            RunDirectory(Path(engine.wait_for_event("run.finished", outcome="completed")["run_dir"]))
            for engine in (alone, together)
        )
        assert (worker.wait(PATIENCE), alone.end(), together.end()) == (0, 0, 0)
    finally:
        worker.kill()
    weights = [load_weights(run.best) for run in (one, two)]
    for name, tensor in weights[0].items():
        assert torch.allclose(tensor, weights[1][name], rtol=0, atol=1e-5), name
    tables = [
        [line.split(",") for line in (run.metrics.path / "history.csv").read_text().split()] for run in (one, two)
    ]
    assert len(tables[0]) == 3
    for left, right in zip(*tables, strict=True):
        assert left == right or [float(value) for value in left[:-1]] == pytest.approx(
            [float(value) for value in right[:-1]], abs=1e-5
        )


@pytest.mark.exhaustive
def test_kills_of_either_process_at_random_moments(tmp_path: Path) -> None:
    """Ten, and a stop and an abort; each is followed by a resume, and the end is an undisturbed run's."""
    recipe = tiny(dataset={"limit": 180}, training={**TRAINING, "epochs": 8}, runtime=TWO)
    undisturbed = Run(tmp_path / "undisturbed", recipe)
    assert undisturbed.finished()["outcome"] == "completed"
    moments = random.Random(16)
    start: dict[str, Any] | None = recipe
    for what in ["other", "engine", "stop", "other", "engine", "abort", *["other", "engine"] * 3]:
        run = Run(tmp_path / "killed", start)
        start = None
        run.engine.wait_for_phase("training")
        others = run.others()
        for _ in range(moments.randrange(1, 24)):  # events: of steps, checkpoints, validation
            seen = len(run.engine.events)
            run.engine.wait_for(lambda _: True, after=seen)
        if what == "other":
            others[0].kill()
            assert run.finished()["error"]["code"] == Failure.PROCESS_LOST.code
        elif what == "engine":
            run.engine.kill()
        else:
            run.engine.send(what, id=what)
            run.finished()
        assert all(map(is_gone, others))
    run = Run(tmp_path / "killed")
    assert run.finished()["outcome"] == "completed"
    assert results(run.directory) == results(undisturbed.directory)
