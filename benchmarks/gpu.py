"""On a CUDA device: a compiled epoch compared with a bare compiled loop, and how much of the time the device is busy.

As a program (`python -m benchmarks.gpu`) it says which device that is; exit 1 where there is none.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.epochs import MANY_EPOCHS, alternatives
from benchmarks.rows import Effort, Row, alternating, at_least, at_least_value, table
from benchmarks.stand_in import Recipe, tiny_recipe, write_many

SPEED_GOAL = 0.95  # of the bare loop
BUSY_GOAL = 90.0  # %
ASKED_FOR = 5.0  # seconds of training, at least, during which the device is asked how busy it is
EVERY = 0.2  # seconds; the driver's own samples are as long
SPLITS = {  # images, by their size in pixels: epochs of some hundred steps, or some dozen, and no smaller batch
    28: {"train": 39_936, "val": 1_000, "test": 1_000},
    224: {"train": 4_096, "val": 128, "test": 128},
}


@dataclass(frozen=True)
class Case:
    model: str
    size: int  # pixels
    batch: int  # images
    cache: str = "device"


CASES = (
    Case("resnet18_adapted", 28, 128),
    Case("resnet18", 224, 64),
    Case("mini_cnn", 28, 128),
    Case("resnet18_adapted", 28, 128, "mapped"),
    Case("resnet18", 224, 64, "mapped"),
)


def measure(effort: Effort) -> list[Row]:
    """Without a device nothing, and a line that says so."""
    name, found = found_device()
    print(name, file=sys.stderr, flush=True)
    if not found:
        return []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        archives = {}
        for size, splits in SPLITS.items():
            own = Path(folder) / str(size)
            own.mkdir()
            archives[size] = write_many(own, zipfile.ZIP_STORED, size, splits)
        for case in CASES:
            of_case = _rows(case, *archives[case.size], effort, name)
            print(table(of_case), file=sys.stderr, flush=True)
            rows += of_case
    return rows


def found_device() -> tuple[str, bool]:
    """The device that `auto` would use, in words, or why there is none; is there one?"""
    built = f"torch {torch.__version__} is built for CUDA {torch.version.cuda}"
    if torch.version.cuda is None:
        return f"No CUDA device: torch {torch.__version__} is built without CUDA. Nothing was run on a GPU.", False
    if not torch.cuda.is_available():
        return f"No CUDA device: {built}, which finds none. Nothing was run on a GPU.", False
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB; {built}", True


def recipe_of(case: Case, archive: Path, md5: str) -> Recipe:
    """Precision as the device has it, and compiled, as the bare loop is."""
    return tiny_recipe(
        dataset={
            "name": "pathmnist",
            "size": case.size,
            "archive": str(archive),
            "md5": md5,
            "cache": case.cache,
            "limit": None,
        },
        model={"name": case.model, "pretrained": False},
        training={"batch_size": case.batch, "epochs": MANY_EPOCHS, "lr": 0.001, "compile": True},
        runtime={"device": "cuda"},
    )


def _rows(case: Case, archive: Path, md5: str, effort: Effort, name: str) -> list[Row]:
    with alternatives(recipe_of(case, archive, md5)) as (ours, bare):
        ours(), bare(), ours(), bare()  # compiled, and the fastest convolutions found
        times = alternating(effort.at_most(5).pairs, ours, bare)
        busy = loads(ours)
    images = SPLITS[case.size]["train"]
    own, other = ([images / taken for taken in side] for side in times)
    what = f"{case.model} at {case.size} px, images {case.cache}, batches of {case.batch}, {name}"
    # Both are rates: ours / other is the speed
    speed = Row("gpu", what, "images/s", own, "bare compiled loop, images on the device", other)
    return [
        at_least(speed, SPEED_GOAL),
        at_least_value(Row("gpu", f"GPU busy, {what}", "%", busy), BUSY_GOAL),
    ]


def loads(train: Callable[[], object]) -> list[float]:
    """How busy the device is while it is trained on, in per cent, some times a second."""
    found: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(EVERY):
            found.append(float(torch.cuda.utilization(0)))

    asking = threading.Thread(target=ask, name="gpu load", daemon=True)
    began = time.monotonic()
    asking.start()
    while time.monotonic() - began < ASKED_FOR:
        train()
    over.set()
    asking.join()
    return found[int(1 / EVERY) :]  # the first second still sees what was before


if __name__ == "__main__":
    words, found = found_device()
    print(words, flush=True)
    sys.exit(0 if found else 1)
