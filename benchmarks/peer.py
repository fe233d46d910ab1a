"""A complete run on the official BreastMNIST compared with orchard-ml 0.2: wall time, peak memory, training images/s.

On request only (`--only peer`). `$MEDTUI_PEER_PYTHON` names an interpreter that has orchard-ml and the same torch,
`$MEDTUI_DATA` the folder with the official breastmnist.npz. Both do the same: ResNet-18 for small images from scratch,
two epochs of SGD on batches of 64 in full precision, MixUp, the test split with test-time augmentation, workbook and
figures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.children import MEDTUI, PATIENCE, environment
from benchmarks.rows import Effort, Row, alternating, at_least, at_most_ratio
from medtui.client.engine_process import ENVIRONMENT

EPOCHS, BATCH, TRAIN_IMAGES = 2, 64, 546
DRIVER = Path(__file__).with_name("peer_driver.py")
SAMPLE = 0.2  # seconds between two looks at the memory
MB = 1e6
MODELS = {"resnet18_adapted": "resnet_18", "mini_cnn": "mini_cnn"}  # ours: the peer's name


@dataclass(frozen=True)
class Run:
    """The cost of one complete run."""

    wall: float  # seconds, from the command to its end
    peak: float  # bytes: the most that the process and its children held together, shared pages counted once
    image: float  # seconds for one image in the last epoch's training half


def measure(effort: Effort) -> list[Row]:
    peer, data = _peer()
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        runs = Alternatives(Path(ours), Path(theirs), peer, data)
        complete = _pairs(runs, "resnet18_adapted", effort.at_most(5).pairs)
        small = _pairs(runs, "mini_cnn", effort.at_most(3).pairs)
    return [
        at_most_ratio(_row("ResNet-18, 2 epochs, complete run", "s", complete, lambda run: run.wall), 0.8),
        at_most_ratio(_row("peak memory, all processes", "MB", complete, lambda run: run.peak / MB), 0.75),
        at_least(_row("training, per image", "s", complete, lambda run: run.image, faster=True), 1.10),
        _row("training of mini_cnn, per image", "s", small, lambda run: run.image, faster=True),
    ]


Pairs = tuple[list[Run], list[Run]]


def _row(what: str, unit: str, runs: Pairs, number: Callable[[Run], float], faster: bool = False) -> Row:
    ours, theirs = ([number(run) for run in side] for side in runs)
    return Row("peer", what, unit, ours, "orchard-ml", theirs, faster)


def _peer() -> tuple[Path, Path]:
    """The peer's interpreter and the data. Ends the measurement with a message if one is missing."""
    peer, data = os.environ.get("MEDTUI_PEER_PYTHON"), os.environ.get("MEDTUI_DATA")
    if not peer or not data or not (Path(data) / "breastmnist.npz").is_file():
        sys.exit(
            "peer: expected $MEDTUI_PEER_PYTHON, an interpreter that has orchard-ml, and $MEDTUI_DATA, a folder "
            f"with breastmnist.npz; found {peer!r} and {data!r}"
        )
    return Path(peer), Path(data).resolve()


def _pairs(runs: Alternatives, model: str, pairs: int) -> Pairs:
    """Complete runs, alternating. One run of each precedes them: files are cached, caches filled."""
    runs.ours("mini_cnn"), runs.theirs("mini_cnn")
    ours: list[Run] = []
    theirs: list[Run] = []

    def keep(kept: list[Run], run: Callable[[str], Run]) -> float:
        kept.append(run(model))
        return 0.0

    alternating(pairs, lambda: keep(ours, runs.ours), lambda: keep(theirs, runs.theirs))
    return ours, theirs


@dataclass(frozen=True)
class Alternatives:
    """The same work by either program, each in a separate folder."""

    our_folder: Path
    their_folder: Path
    peer: Path
    data: Path

    def ours(self, model: str) -> Run:
        recipe = self.our_folder / "recipe.yaml"
        recipe.write_text(json.dumps(_our_recipe(model)))
        command = [*MEDTUI, "run", str(recipe), "--workspace", str(self.our_folder), "--data", str(self.data), "--json"]
        wall, peak, output = _measured(command, self.our_folder)
        ended = [event for line in output.splitlines() if (event := json.loads(line))["event"] == "epoch.finished"]
        return Run(wall, peak, 1 / ended[-1]["images_per_second"])

    def theirs(self, model: str) -> Run:
        folder = self.their_folder
        (folder / "dataset").mkdir(exist_ok=True)
        shutil.copyfile(self.data / "breastmnist.npz", folder / "dataset" / "breastmnist_28.npz")
        recipe = folder / "recipe.yaml"
        recipe.write_text(json.dumps(_their_recipe(MODELS[model])))
        wall, peak, output = _measured([str(self.peer), str(DRIVER), str(recipe)], folder)
        trained = TRAIN_IMAGES // BATCH * BATCH  # its loader drops the last batch
        return Run(wall, peak, json.loads(output.splitlines()[-1])["epochs"][-1] / trained)


def _our_recipe(model: str) -> dict[str, Any]:
    return {
        "dataset": {"name": "breastmnist"},
        "model": {"name": model, "pretrained": False},
        "training": {"epochs": EPOCHS, "batch_size": BATCH, "lr": 0.008, "mixup_alpha": 0.002, "amp": False},
        "evaluation": {"tta": True},
    }


def _their_recipe(model: str) -> dict[str, Any]:
    training = {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": 0.008, "mixup_alpha": 0.002, "mixup_epochs": 2}
    return {
        "dataset": {"name": "breastmnist", "data_root": "./dataset", "use_weighted_sampler": False},
        "architecture": {"name": model, "pretrained": False, "dropout": 0.0},
        "training": {**training, "use_tta": True, "use_amp": False, "use_tqdm": False, "scheduler_type": "cosine"},
        "hardware": {"device": "cpu", "allow_process_kill": False},
        "telemetry": {"output_dir": "./outputs"},
    }


def _measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Seconds, peak bytes and standard output of a command. Raises, with its output, if it fails."""
    own = {name: value for name, value in environment().items() if name not in ENVIRONMENT}
    if command[0] != sys.executable:
        del own["PYTHONPATH"]
    began = time.perf_counter()
    with (folder / "errors.txt").open("w+") as errors:
        with subprocess.Popen(
            command, cwd=folder, env=own, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process:
            memory = _MemoryWatch(process.pid)
            output, _ = process.communicate(timeout=PATIENCE)
            wall = time.perf_counter() - began
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: {errors.read()[-2000:]}")
    return wall, memory.end(), output


class _MemoryWatch(threading.Thread):
    """The most that a process and its children hold together: their proportional set sizes, summed."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self._over = threading.Event()
        self._peak = 0.0
        self.start()

    def run(self) -> None:
        while not self._over.wait(SAMPLE):
            try:
                family = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            self._peak = max(self._peak, sum(map(_held, family)))

    def end(self) -> float:
        self._over.set()
        self.join()
        return self._peak


def _held(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
