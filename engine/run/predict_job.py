"""Predict images with a model bundle alone: no run, no recipe, no data set. Nothing but the output is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract.files.folders import Folder, named_by_user
from engine.contract.files.paths import expanded
from engine.contract.machine.limits import cores
from engine.contract.wire.errors import DataError
from engine.contract.wire.jobs import Predict
from engine.contract.wire.protocol import EvaluationFinished, Metrics, Progress
from engine.data.own.pictures import Unreadable
from engine.evaluate.metrics import evaluate_with_ci95
from engine.evaluate.predict import View, evaluation_batch
from engine.events import now
from engine.report.samples import stored_images
from engine.run.bundled_model import BundledModel, load_model
from engine.run.images import NO_FILE, Entry, Listed, list_images, pixels_of
from engine.run.job import Job, JobResult
from engine.run.predictions_file import Write, readable, rows_of, writing
from engine.sentences import Images

LISTS = 256 * 1024 * 1024  # bytes of the list of images
PICTURES = 8 * 1024 * 1024  # bytes of pixels for a client to show
EXAMPLES = 3  # of unreadable images, in a sentence


@dataclass
class Tally:
    """What is counted while images are predicted."""

    predicted: int = 0
    unlike: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)  # why, by name
    scores: list[np.ndarray] = field(default_factory=list)  # of images with labels
    labels: list[np.ndarray] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)  # the first images, uint8 [S, S] or [S, S, 3]


def predict(job: Job, command: Predict) -> JobResult:
    """Raises CheckpointError or WeightsError for the bundle, DataError where no image can be read."""
    with job.control.interruptible():
        model = load_model(Folder(Path(command.model)).itself)
        root = job.here / expanded(command.root) if command.root is not None else None
        listed = list_images(_words(command.images), job.here, model.bundle, root)
    job.enter("evaluating")
    views, tally = model.views(command.tta), Tally()
    output = Folder(Path(command.output))
    with writing(output.file(f"predictions.{command.format}"), command.format, model.bundle, listed.labels) as write:
        _predict_all(job, model, listed, views, tally, write, command.pictures)
        if not tally.predicted:
            raise _nothing_readable(tally)
    metrics = _evaluated(job, model, views, tally) if tally.labels else None
    summary = _summary(model, listed, views, tally, metrics)
    if tally.pictures:
        stored = json.dumps(stored_images(np.stack(tally.pictures)))
        output.file("pictures.json").write(stored, durable=False)
    output.file("summary.json").write(json.dumps(summary, ensure_ascii=False), durable=False)
    return JobResult(metrics={"validation": None, "test": metrics})


def _words(path: str) -> list[str]:
    try:
        file = named_by_user(Path(path))
        words = json.loads(file.content(min(file.size, LISTS)))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(Images.LIST, path=path, reason=error) from None
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise DataError(Images.LIST, path=path, reason="expected a JSON list of paths")
    return words


def _predict_all(
    job: Job, model: BundledModel, listed: Listed, views: Sequence[View], tally: Tally, write: Write, pictures: int
) -> None:
    size = evaluation_batch(model.bundle.model_size)
    total, done = len(listed.entries), 0
    for batch, pixels in _batches(listed.entries, model, size, tally):
        job.control.raise_if_aborted()
        done = tally.predicted + len(tally.unreadable)
        job.stream.snapshot(Progress(time=now(), phase="evaluating", activity="predicting", done=done, total=total))
        found = model.predict(model.batch(pixels), views)
        for row in rows_of([entry.name for entry in batch], found, model.bundle, [entry.label for entry in batch]):
            write(row)
        room = min(pictures, PICTURES // pixels[0].nbytes) - tally.predicted
        tally.pictures += pixels[: max(0, room)]
        tally.predicted += len(batch)
        tally.unlike += int(found.unlike.sum()) if found.unlike is not None else 0
        if listed.labels:
            tally.scores.append(found.scores)
            tally.labels += [entry.label for entry in batch if entry.label is not None]


def _batches(
    entries: Sequence[Entry], model: BundledModel, size: int, tally: Tally
) -> Iterator[tuple[list[Entry], list[np.ndarray]]]:
    """Full batches of what can be read, as an evaluation has them; several images are decoded at once."""
    batch: list[Entry] = []
    pixels: list[np.ndarray] = []
    with ThreadPoolExecutor(min(4, cores()), "decoding") as pool:
        for start in range(0, len(entries), size):
            part = entries[start : start + size]
            for entry, found in zip(part, pool.map(lambda entry: _read(entry, model), part), strict=True):
                if isinstance(found, str):
                    tally.unreadable[readable(entry.name)] = found
                    continue
                batch.append(entry)
                pixels.append(found)
                if len(batch) == size:
                    yield batch, pixels
                    batch, pixels = [], []
    if batch:
        yield batch, pixels


def _read(entry: Entry, model: BundledModel) -> np.ndarray | str:
    """Its pixels, or why it has none."""
    try:
        return pixels_of(entry, model.bundle)
    except Unreadable as error:
        return str(error)


def _nothing_readable(tally: Tally) -> DataError:
    """A single name that is wrong needs no count."""
    if list(tally.unreadable.values()) == [NO_FILE]:
        return DataError(Images.NO_FILE, path=next(iter(tally.unreadable)))
    return DataError(Images.NOTHING_READABLE, count=len(tally.unreadable), examples=_examples(tally))


def _examples(tally: Tally) -> str:
    found = [f"{name}: {reason}" for name, reason in list(tally.unreadable.items())[:EXAMPLES]]
    return "; ".join(found) + ("; …" if len(tally.unreadable) > EXAMPLES else "")


def _evaluated(job: Job, model: BundledModel, views: Sequence[View], tally: Tally) -> Metrics:
    bundle = model.bundle
    labels = np.stack(tally.labels)
    result = evaluate_with_ci95(labels, np.concatenate(tally.scores), bundle.task, bundle.class_names)
    job.stream.emit(
        EvaluationFinished(
            time=now(),
            dataset="given images",
            split="test",
            n=len(labels),
            views=[view.name for view in views],
            metrics=result.metrics,
            per_class=result.per_class,
        )
    )
    return result.metrics


def _summary(
    model: BundledModel, listed: Listed, views: Sequence[View], tally: Tally, metrics: Metrics | None
) -> dict[str, Any]:
    calibration, features = model.calibration(views), model.bundle.features
    return {
        "predicted": tally.predicted,
        "unreadable": tally.unreadable,
        "ignored": listed.ignored,
        "labels_unused": listed.unevaluated,
        "label_columns": listed.label_columns,
        "file_columns": listed.file_columns,
        "unlike": tally.unlike if model.space is not None else None,
        "threshold": features.threshold if model.space is not None and features is not None else None,
        "views": [view.name for view in views],
        "temperature": calibration.temperature if calibration is not None else None,
        "uncalibrated": model.bundle.uncalibrated if calibration is None else None,
        "classes": list(model.bundle.class_names),
        "metrics": json.loads(metrics.model_dump_json()) if metrics is not None else None,
        "model": model.bundle.model,
        "weights": model.bundle.weights.digest,
    }
