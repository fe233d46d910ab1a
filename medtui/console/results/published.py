"""Published results of MedMNIST v2, for comparison with ours. The source is in the file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

SOURCE = "Yang et al., MedMNIST v2, Scientific Data 10, 41 (2023), Table 3"
# The table's columns "ResNet-18 (224)" and "ResNet-50 (224)" are left out: they are of 28 px images enlarged to 224 px,
# as its authors say, so they are no reference for runs on real 224 px images.
METHODS = {
    "resnet18_28": ("ResNet-18", 28),
    "resnet50_28": ("ResNet-50", 28),
    "autosklearn": ("auto-sklearn", 28),
    "autokeras": ("AutoKeras", 28),
    "google_automl": ("Google AutoML Vision", 28),
}


@dataclass(frozen=True)
class Published:
    dataset: str
    size: int  # pixels per side
    method: str
    auc: float
    acc: float

    @property
    def key(self) -> str:
        """No run's name has a colon."""
        return f"published:{self.dataset}:{self.size}:{self.method}"


@cache
def published() -> tuple[Published, ...]:
    """Every published value."""
    text = (files("medtui.console.data") / "published_medmnist_v2.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        Published(row["dataset"], size, method, float(row[f"{column}_auc"]), float(row[f"{column}_acc"]))
        for row in rows
        for column, (method, size) in METHODS.items()
    )


def published_for(dataset: str, size: int) -> list[Published]:
    """The values for one data set at one size, best AUC first."""
    found = [one for one in published() if one.dataset == dataset and one.size == size]
    return sorted(found, key=lambda one: -one.auc)
