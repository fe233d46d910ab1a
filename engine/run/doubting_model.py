"""A trained model that looks at labels: those that it finds least probable are candidates for wrong ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.contract.data.datasets import DatasetFacts
from engine.contract.data.exploration import DoubtfulLabels
from engine.contract.files.folders import Folder
from engine.contract.wire.errors import UsageError
from engine.contract.wire.protocol import Progress
from engine.data.cache import Decoded
from engine.data.explore.findings import doubtful_labels
from engine.data.explore.survey import Survey, batches
from engine.evaluate.metrics import evaluate_with_ci95
from engine.evaluate.predict import evaluation_batch
from engine.events import now
from engine.run.bundled_model import load_model
from engine.run.job import Job
from engine.sentences import Exploring

NAMED = 10  # classes in a message


class DoubtingModel:
    """The model in a folder with `model.json`. Raises CheckpointError or WeightsError."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._model = load_model(Folder(Path(folder)).itself)

    @property
    def size(self) -> int:
        """Pixels per side of the images that it takes."""
        return self._model.bundle.size

    def refuse_other(self, data: Decoded) -> None:
        """Raises UsageError for images of other classes or channels."""
        bundle, facts = self._model.bundle, data.facts
        if bundle.class_names != facts.class_names:
            raise UsageError(
                Exploring.OTHER_CLASSES, expected=_listed(bundle.class_names), found=_listed(facts.class_names)
            )
        if bundle.channels != (1 if facts.channels == 1 else 3):
            raise UsageError(Exploring.OTHER_CHANNELS, expected=bundle.channels, found=facts.channels)

    def doubtful_labels(self, job: Job, data: Decoded, found: Survey) -> DoubtfulLabels:
        """Of the training and validation images: the test split is for the test alone. Raises Aborted."""
        numbers = np.nonzero(found.splits != "test")[0]
        scores: list[np.ndarray] = []
        done = 0
        for split in ("train", "val"):
            for images in _batches(data.images(split), evaluation_batch(self.size)):
                job.control.raise_if_aborted()
                job.stream.snapshot(
                    Progress(time=now(), phase="evaluating", activity="predicting", done=done, total=len(numbers))
                )
                batch = self._model.batch(list(images))
                scores.append(self._model.predict(batch, self._model.views(False)).probabilities)
                done += len(images)
        probabilities = np.concatenate(scores)
        doubtful = doubtful_labels(found, numbers, probabilities, self._folder)
        held_out = found.splits[numbers] == "val"
        auc, at_chance = skill(found.labels[numbers][held_out], probabilities[held_out], found.facts)
        return doubtful.model_copy(update={"auc": auc, "at_chance": at_chance})


def skill(labels: np.ndarray, probabilities: np.ndarray, facts: DatasetFacts) -> tuple[float | None, bool]:
    """The AUC of a model on images that it was not trained on, and whether chance gives as much.

    It does where 0.5 lies in the AUC's 95 % interval, or above it.
    """
    metrics = evaluate_with_ci95(labels, probabilities, facts.task, facts.class_names).metrics
    if math.isnan(metrics.auc):
        return None, False
    lowest = metrics.auc_ci95[0] if metrics.auc_ci95 is not None else metrics.auc
    return metrics.auc, lowest <= 0.5


def _batches(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for _, part in batches(images):
        for start in range(0, len(part), size):
            yield part[start : start + size]


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
