"""Published results on the test splits, for comparison with a run on the same images in the same way.

A run is compared with rows of its data set, its image size and its protocol only. What a row must not be taken for is
in its `remark`; the sources are in the files.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Protocol = Literal["end_to_end", "linear_probe", "knn11"]
ENLARGED = "28 px enlarged to 224 px"
PADDED = "in a frame of zeros of 224 px, a weak reference"


@dataclass(frozen=True)
class Source:
    name: str
    citation: str
    conditions: str  # how its models were trained, and how often


V2 = Source(
    "MedMNIST v2",
    "Yang et al., MedMNIST v2, Scientific Data 10, 41 (2023), Table 3",
    "ResNets from scratch, mean of 3 trials",
)
PLUS = Source(
    "MedMNIST+",
    "Doerrich et al., MedMNIST+ model prototyping, Scientific Reports (2025)",
    "pretrained models, trained end to end, mean of 3 seeds",
)
# The columns of Table 3: method, remark. Those it calls "(224)" are of the 28 px images, enlarged by nearest
# neighbour, as its authors say: no reference for runs on real images of 224 px.
TABLE_3 = {
    "resnet18_28": ("ResNet-18", ""),
    "resnet18_224": ("ResNet-18 (224)", ENLARGED),
    "resnet50_28": ("ResNet-50", ""),
    "resnet50_224": ("ResNet-50 (224)", ENLARGED),
    "autosklearn": ("auto-sklearn", ""),
    "autokeras": ("AutoKeras", ""),
    "google_automl": ("Google AutoML Vision", ""),
}


@dataclass(frozen=True)
class Published:
    source: Source
    dataset: str
    size: int  # pixels per side of the images that were used
    protocol: Protocol
    method: str
    auc: float | None  # means, of the test split; None: not reported
    acc: float
    auc_sd: float | None = None  # standard deviations
    acc_sd: float | None = None
    remark: str = ""  # why it is no fair reference for a run on images of this size

    @property
    def key(self) -> str:
        """No run's name has a colon."""
        return f"published:{self.source.name}:{self.dataset}:{self.size}:{self.method}"


@cache
def published() -> tuple[Published, ...]:
    """Every published value."""
    return (*_table_3(), *_medmnist_plus())


def published_for(dataset: str, size: int, protocol: Protocol = "end_to_end") -> list[Published]:
    """What a run can be compared with, highest AUC first."""
    found = [one for one in published() if (one.dataset, one.size, one.protocol) == (dataset, size, protocol)]
    return sorted(found, key=lambda one: -(one.auc or 0.0))


def references(dataset: str, size: int) -> list[Published]:
    """The fair ones of `published_for`, in short; where there is none, all."""
    found = published_for(dataset, size)
    return [one for one in found if not one.remark] or found


def remarks(one: Published, among: list[Published]) -> list[str]:
    """What a value must not be taken for. Which of many is the highest shows only on the test split."""
    highest = len(among) > 1 and one.auc is not None and one.auc == max(other.auc or 0.0 for other in among)
    chosen = [f"highest of {len(among)}, so chosen on the test split"] * highest
    return [one.remark] * bool(one.remark) + chosen


def sources(found: list[Published]) -> list[str]:
    """Each source of these once: citation and conditions."""
    return [f"{source.citation}: {source.conditions}" for source in dict.fromkeys(one.source for one in found)]


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = (files(__package__) / name).read_text(encoding="utf-8")
    return csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))


def _table_3() -> Iterator[Published]:
    for row in _rows("published_medmnist_v2.csv"):
        for column, (method, remark) in TABLE_3.items():
            auc, acc = float(row[f"{column}_auc"]), float(row[f"{column}_acc"])
            yield Published(V2, row["dataset"], 28, "end_to_end", method, auc, acc, remark=remark)


def _medmnist_plus() -> Iterator[Published]:
    protocols: dict[str, Protocol] = {"end_to_end": "end_to_end", "linear_probe": "linear_probe", "knn11": "knn11"}
    for row in _rows("published_medmnist_plus.csv"):
        auc, auc_sd, acc_sd = (float(row[name]) if row[name] else None for name in ("auc", "auc_sd", "acc_sd"))
        size = int(row["size"])
        yield Published(
            PLUS,
            row["dataset"],
            size,
            protocols[row["protocol"]],
            row["method"],
            auc,
            float(row["acc"]),
            auc_sd,
            acc_sd,
            PADDED if size <= 64 else "",
        )
