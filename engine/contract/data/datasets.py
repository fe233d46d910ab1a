"""Facts of the data sets a recipe can name.

The twelve 2D MedMNIST sets are in `datasets.json`, taken over from the `medmnist` package's own `info.py`
(Yang et al., Scientific Data 10, 41, 2023); a test holds the two together. `symmetry` is ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

TaskKind = Literal["binary", "multi_class", "ordinal", "multi_label"]

# Which mirror images of a picture are pictures of the same kind:
# all     microscopy and skin, no canonical orientation: quarter turns and both flips
# mirror  upright pictures whose left-right mirror image is as plausible as they are
# none    orientation carries meaning: in OrganA/C/S the left and right organs are different classes
Symmetry = Literal["all", "mirror", "none"]

SPLITS = ("train", "val", "test")
THRESHOLD = 0.5  # of a score; above it a label counts as predicted, as in the official MedMNIST evaluator
SIZES = (28, 64, 128, 224)  # pixels per side


@dataclass(frozen=True)
class Archive:
    """An official file: where it is published, and the MD5 that proves it."""

    file_name: str
    url: str
    md5: str


def label_of(name: str, size: int | None) -> str:
    """A data set in run directories and tables: `breastmnist`, `breastmnist-64`."""
    return name if size in (28, None) else f"{name}-{size}"


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of a data set before its first byte is read."""

    name: str
    title: str
    description: str
    task: TaskKind
    channels: int
    splits: dict[str, int]  # images per split; without those whose number is not known before they are read
    class_names: tuple[str, ...]
    licence: str
    symmetry: Symmetry
    archives: dict[int, Archive]  # published ones, by pixels per side
    sizes: tuple[int, ...] = (28,)  # pixels per side in which it is available
    synthetic: bool = False

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def orientation_matters(self) -> bool:
        return self.symmetry == "none"

    def largest(self, size: int) -> int:
        """Bytes that an official archive cannot exceed: its arrays, as long as deflate can make them, and headers."""
        pixels, labels = self.channels * size**2, self.classes if self.task == "multi_label" else 1
        return sum(self.splits.values()) * (pixels + 8 * labels) * 10_004 // 10_000 + 10_000

    def label(self, size: int) -> str:
        """Name in run directories and tables: `breastmnist`, `breastmnist-64`."""
        return label_of(self.name, size)


CELLS = DatasetFacts(
    name="cells",
    title="Cells (synthetic)",
    description=(
        "Computer-generated stained blood cells: eight classes that differ in nucleus lobes, size, granules and "
        "stain. Synthetic: no patient, no microscope, no medical meaning."
    ),
    task="multi_class",
    channels=3,
    splits={"train": 4000, "val": 400, "test": 600},
    class_names=(
        "basophil",
        "eosinophil",
        "erythroblast",
        "immature granulocyte",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "platelet",
    ),
    licence="MIT",
    symmetry="all",
    archives={},
    synthetic=True,
)


@cache
def datasets() -> dict[str, DatasetFacts]:
    """Every data set by its name, `cells` first."""
    table = json.loads((files(__package__) / "datasets.json").read_text(encoding="utf-8"))
    return {"cells": CELLS} | {name: _official(name, entry) for name, entry in table.items()}


def _official(name: str, entry: dict[str, Any]) -> DatasetFacts:
    archives = {
        int(size): Archive(
            file_name=f"{name}.npz" if size == "28" else f"{name}_{size}.npz",
            url=archive["url"],
            md5=archive["md5"],
        )
        for size, archive in entry["archives"].items()
    }
    return DatasetFacts(
        name=name,
        title=entry["title"],
        description=entry["description"],
        task=entry["task"],
        channels=entry["channels"],
        splits=entry["splits"],
        class_names=tuple(entry["class_names"]),
        licence=entry["licence"],
        symmetry=entry["symmetry"],
        archives=archives,
        sizes=tuple(archives),
    )
