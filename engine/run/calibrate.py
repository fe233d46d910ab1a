"""What a bundle says of a run's best weights once they are final: a temperature, and where the training images lie."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from engine.contract.store.model_bundle import Calibration, TrainingFeatures, write_bundle
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.protocol import Progress
from engine.control import Aborted
from engine.data.augment import unit_range
from engine.data.batches import Split
from engine.evaluate.calibration import NoTemperature, fit_temperature
from engine.evaluate.features import QUANTILE, FeatureSpace, capturing, fit_space, joined
from engine.evaluate.predict import IDENTITY, View, evaluation_batch, predict_scores, views_for
from engine.events import now
from engine.failure import reason_of
from engine.run.bundle import bundle_of
from engine.run.bundled_model import classifier_of, tensors_of
from engine.run.job import Job
from engine.run.prepare import WithModel
from engine.run.scores import split_scores
from engine.sentences import Alarms, Decisions
from engine.train.checkpoint import save_tensors

TRAINING_IMAGES = 2048  # at most, whose features are used; enough for the covariance of 512


def complete_bundle(
    job: Job, run: RunDirectory, prepared: WithModel, model: nn.Module, resolved_hash: str | None
) -> None:
    """Add calibration and features to the bundle of the best weights, which `model` has. Raises Aborted.

    Whatever else fails raises an alarm and leaves the bundle without them: the run has its results all the same.
    """
    if not run.best.is_there:
        return
    try:
        _complete(job, run, prepared, model, resolved_hash)
    except Aborted:
        raise
    except Exception as error:
        with contextlib.suppress(OSError):
            traceback.print_exception(error, file=sys.stderr)
        job.stream.alarm("artifact", Alarms.NOT_CALIBRATED, run=run.name, reason=reason_of(error))


def _complete(job: Job, run: RunDirectory, prepared: WithModel, model: nn.Module, resolved_hash: str | None) -> None:
    bundle = bundle_of(run, prepared, resolved_hash)
    calibration, uncalibrated = None, None
    with _capturing(prepared, model) as captured:
        try:
            calibration = _calibration(job, prepared, model, [IDENTITY])
        except NoTemperature as reason:
            uncalibrated = str(reason)
            job.stream.note(Decisions.NO_TEMPERATURE, reason=reason)
    validation = joined(captured)
    views = views_for(prepared.facts.symmetry, prepared.recipe.evaluation.tta)
    averaged = None
    if len(views) > 1:
        with contextlib.suppress(NoTemperature):
            averaged = _calibration(job, prepared, model, views)
    space = fit_space(_training_features(job, prepared, model), validation)
    features = None
    if space is not None:
        features = _write_space(run, space, space.distances(validation), len(_training_rows(prepared)))
    fitted = {"calibration": calibration, "uncalibrated": uncalibrated, "calibration_tta": averaged}
    write_bundle(run.model_bundle, bundle.model_copy(update={**fitted, "features": features}))


def _capturing(prepared: WithModel, model: nn.Module) -> contextlib.AbstractContextManager[list[list[torch.Tensor]]]:
    built = prepared.built
    return capturing(model, classifier_of(built), built.spec.channels_last)


def _calibration(job: Job, prepared: WithModel, model: nn.Module, views: list[View]) -> Calibration:
    """Raises NoTemperature."""
    labels = prepared.labels["val"]
    scores = split_scores(prepared, model, "val", views, lambda done: _progress(job, "calibrating", done, len(labels)))
    found = fit_temperature(labels, scores, prepared.facts.task)
    return Calibration(
        temperature=found.value, nll_before=found.nll_before, nll_after=found.nll_after, images=len(labels)
    )


def _training_rows(prepared: WithModel) -> np.ndarray:
    """Which training images are used, evenly spaced: all, where they are few."""
    images = len(prepared.splits["train"])
    return np.linspace(0, images - 1, min(images, TRAINING_IMAGES)).astype(np.int64)


def _training_features(job: Job, prepared: WithModel, model: nn.Module) -> list[np.ndarray]:
    """Of training images without augmentation, by depth."""
    rows = _training_rows(prepared)
    with _capturing(prepared, model) as captured:
        predict_scores(
            model,
            _batches(prepared.splits["train"], rows, evaluation_batch(prepared.recipe.input_size)),
            lambda images: prepared.normalise(unit_range(images)),
            prepared.facts.task,
            [IDENTITY],
            prepared.precision.context,
            lambda done: _progress(job, "reading the features of training images", done, len(rows)),
        )
    return joined(captured)


def _batches(split: Split, rows: np.ndarray, size: int) -> Iterator[torch.Tensor]:
    for start in range(0, len(rows), size):
        yield split.to_device(split.gather(rows[start : start + size]))


def _write_space(run: RunDirectory, space: FeatureSpace, validation: np.ndarray, images: int) -> TrainingFeatures:
    """validation: distances [N]. images: of the training split, whose features were used."""
    return TrainingFeatures(
        file=run.features.name,
        digest=save_tensors(run.features, tensors_of(space), {"format": "pt"}),
        threshold=float(np.quantile(validation, QUANTILE)),
        quantile=QUANTILE,
        images=images,
    )


def _progress(job: Job, activity: str, done: int, total: int) -> None:
    job.control.raise_if_aborted()
    job.stream.snapshot(Progress(time=now(), phase="evaluating", activity=activity, done=done, total=total))
