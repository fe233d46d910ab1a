"""Predictions as rows of CSV or lines of JSON, written one batch after the other."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

import numpy as np

from engine.contract.files.folders import File
from engine.contract.store.model_bundle import ModelBundle
from engine.run.bundled_model import Predicted

SEVERAL = ";"  # between the labels of one image, in a table


@dataclass(frozen=True)
class Row:
    """What is said of one image."""

    path: str
    prediction: list[str]  # one class; of multi-label every label that is predicted
    confidence: float
    probabilities: list[float]  # calibrated, by class
    scores: list[float]  # as the model gives them
    distance: float | None
    unlike: bool | None
    label: list[str] | None


class Write(Protocol):
    def __call__(self, row: Row) -> None: ...


def rows_of(
    names: list[str], predicted: Predicted, bundle: ModelBundle, labels: list[np.ndarray | None]
) -> Iterator[Row]:
    classes = bundle.class_names
    for at, name in enumerate(names):
        label = labels[at]
        yield Row(
            path=readable(name),
            prediction=_names(predicted.classes[at], classes),
            confidence=float(predicted.confidence[at]),
            probabilities=[float(value) for value in predicted.probabilities[at]],
            scores=[float(value) for value in predicted.scores[at]],
            distance=float(predicted.distances[at]) if predicted.distances is not None else None,
            unlike=bool(predicted.unlike[at]) if predicted.unlike is not None else None,
            label=_names(label, classes) if label is not None else None,
        )


def _names(found: np.ndarray, classes: tuple[str, ...]) -> list[str]:
    if np.ndim(found):
        return [name for name, is_set in zip(classes, found, strict=True) if is_set]
    return [classes[int(found)]]


def readable(name: str) -> str:
    """A file's name as text; bytes of it that are no UTF-8 as a shell shows them: `caf\\xe9.png`."""
    try:
        content = os.fsencode(name)
    except UnicodeEncodeError:  # half a pair of UTF-16, which no file's name has
        content = name.encode(errors="backslashreplace")
    return content.decode(errors="backslashreplace")


@contextmanager
def writing(file: File, form: str, bundle: ModelBundle, labelled: bool) -> Iterator[Write]:
    """Rows to the file, which takes its name when the block ends well. Raises OSError."""
    with file.replacing_text(durable=False) as text:
        yield _lines(text, bundle) if form == "jsonl" else _table(text, bundle, labelled)


def _lines(text: TextIO, bundle: ModelBundle) -> Write:
    one = bundle.task != "multi_label"

    def write(row: Row) -> None:
        values: dict[str, Any] = {
            "path": row.path,
            "prediction": row.prediction[0] if one else row.prediction,
            "confidence": row.confidence,
            "unlike": row.unlike,
            "distance": row.distance,
            "probabilities": dict(zip(bundle.class_names, row.probabilities, strict=True)),
            "scores": dict(zip(bundle.class_names, row.scores, strict=True)),
        }
        if row.label is not None:
            values["label"] = row.label[0] if one else row.label
        text.write(json.dumps(values, ensure_ascii=False) + "\n")

    return write


def _table(text: TextIO, bundle: ModelBundle, labelled: bool) -> Write:
    table = csv.writer(text, lineterminator="\n")
    head = ["path", "prediction", "confidence", "unlike", "distance", *(["label"] if labelled else [])]
    names = bundle.class_names
    table.writerow([*head, *(f"probability {name}" for name in names), *(f"score {name}" for name in names)])

    def write(row: Row) -> None:
        mark = "" if row.unlike is None else str(int(row.unlike))
        distance = "" if row.distance is None else repr(row.distance)
        label = [SEVERAL.join(row.label or ())] if labelled else []
        first = [row.path, SEVERAL.join(row.prediction), repr(row.confidence), mark, distance, *label]
        table.writerow([*first, *map(repr, row.probabilities), *map(repr, row.scores)])

    return write
