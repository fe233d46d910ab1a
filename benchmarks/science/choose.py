"""`python -m benchmarks.science.choose DATA NAME…`: judge choices of `choices.yaml` by cross-validation.

Every fold of a choice is appended to `choices.csv` as soon as it is done; what that has already is not done again.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.science.folds import Judged, cross_validated, fold_of, images_of, recipe_of
from engine.contract.recipe.reader import find_recipe
from engine.contract.recipe.yaml_reader import read_yaml_file

HERE = Path(__file__).parent
CHOICES, EVIDENCE = HERE / "choices.yaml", HERE / "choices.csv"
FOLDS = 5
COLUMNS = (
    "choice", "dataset", "fold", "seed", "averaged", "views", "epoch", "auc", "acc", "loss", "cpu_seconds", "settings"
)  # fmt: skip


def done(path: Path) -> set[tuple[str, int]]:
    """The folds of each choice that the table has."""
    if not path.is_file():
        return set()
    with path.open(newline="", encoding="utf-8") as lines:
        return {(row["choice"], int(row["fold"])) for row in csv.DictReader(lines)}


def rows(choice: str, dataset: str, fold: int, found: list[Judged], seconds: float, settings: str) -> Iterator[Any]:
    for judged in found:
        numbers = f"{judged.auc:.4f}", f"{judged.acc:.4f}", f"{judged.loss:.4f}", f"{seconds:.0f}"
        yield (choice, dataset, fold, fold, judged.averaged, judged.views, judged.epoch, *numbers, settings)


def append(path: Path, lines: Iterator[Any]) -> None:
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerows(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the .npz files")
    parser.add_argument("names", nargs="+", help="choices; first come all folds of the first one")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    choices = yaml.safe_load(CHOICES.read_text(encoding="utf-8"))
    for name in asked.names:
        settings = dict(choices[name])
        base = read_yaml_file(find_recipe(settings.pop("recipe"))).values
        dataset = base["dataset"]["name"]
        data = images_of(asked.data / f"{dataset}.npz")
        folds = fold_of(data.labels, FOLDS)
        for fold in range(1, FOLDS + 1):
            if (name, fold) in done(EVIDENCE):
                continue
            began = resource.getrusage(resource.RUSAGE_SELF).ru_utime
            found = cross_validated(recipe_of(base, settings, seed=fold), data, folds, fold)
            seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - began
            append(EVIDENCE, rows(name, dataset, fold, found, seconds, json.dumps(settings)))
            print(name, fold, *(f"{j.averaged}/{j.views} {j.auc:.3f} {j.acc:.3f}" for j in found[-8:]), flush=True)


if __name__ == "__main__":
    main()
