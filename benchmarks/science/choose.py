"""`python -m benchmarks.science.choose DATA NAME…`: judge choices of `choices.yaml` by cross-validation.

Every fold of a choice is appended to `choices.csv` as soon as it is done; what that has already is not done again.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.science.folds import Images, Judged, by_best_epoch, cross_validated, fold_of, images_of, recipe_of
from engine.contract.recipe.reader import find_recipe
from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.device import device_name

HERE = Path(__file__).parent
CHOICES, EVIDENCE = HERE / "choices.yaml", HERE / "choices.csv"
FOLDS = 5
SEEDS_APART = 10  # between partitions, so that each fold of each has its own seed
COLUMNS = (
    "choice", "dataset", "partition", "fold", "seed", "device", "averaged", "views", "epoch", "auc", "acc", "loss",
    "seconds", "settings",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One training: a choice, and the fold that it leaves out."""

    choice: str
    partition: int
    fold: int

    @property
    def seed(self) -> int:
        return (self.partition - 1) * SEEDS_APART + self.fold


def done(path: Path) -> set[Task]:
    """What the table has."""
    if not path.is_file():
        return set()
    with path.open(newline="", encoding="utf-8") as lines:
        return {Task(row["choice"], int(row["partition"]), int(row["fold"])) for row in csv.DictReader(lines)}


def tasks_of(names: Sequence[str], partitions: Sequence[int]) -> list[Task]:
    """First come the same fold of all choices, so that they can be compared whenever it ends."""
    return [Task(name, partition, fold) for partition in partitions for fold in range(1, FOLDS + 1) for name in names]


def append(path: Path, lines: Iterator[Any]) -> None:
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerows(lines)


@cache
def held(archive: Path, device: torch.device) -> Images:
    """In each process once."""
    return images_of(archive).on(device)


def judge(task: Task, data: Path, device: torch.device, ends: float) -> list[tuple[Any, ...]]:
    """The rows of one training; none after the time at which it all ends."""
    if time.time() > ends:
        return []
    settings = dict(yaml.safe_load(CHOICES.read_text(encoding="utf-8"))[task.choice])
    written = json.dumps(settings)
    way = by_best_epoch if settings.pop("judged", None) == "by best epoch" else cross_validated
    base = read_yaml_file(find_recipe(settings.pop("recipe"))).values
    dataset = base["dataset"]["name"]
    images = held(data / f"{dataset}.npz", device)
    began = time.monotonic()
    found: list[Judged] = way(
        recipe_of(base, settings, task.seed), images, fold_of(images, FOLDS, task.partition), task.fold
    )
    seconds = f"{time.monotonic() - began:.1f}"
    where = (task.choice, dataset, task.partition, task.fold, task.seed, device_name(device))
    return [
        (*where, *astuple(one)[:3], *(f"{value:.4f}" for value in astuple(one)[3:]), seconds, written) for one in found
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the .npz files")
    parser.add_argument("names", nargs="+", help="choices; first comes the same fold of all")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu, or cuda:0")
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 2], help="ways to divide into folds")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no training begins after them")
    asked = parser.parse_args()
    before = done(EVIDENCE)
    left = [task for task in tasks_of(asked.names, asked.partitions) if task not in before]
    work = partial(judge, data=asked.data, device=asked.device, ends=time.time() + 60 * asked.minutes)
    with multiprocessing.get_context("spawn").Pool(asked.jobs, torch.set_num_threads, (1,)) as pool:
        for rows in filter(None, pool.imap_unordered(work, left)):
            append(EVIDENCE, iter(rows))
            print(*rows[-1][:10], flush=True)


if __name__ == "__main__":
    main()
