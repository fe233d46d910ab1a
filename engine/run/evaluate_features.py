"""Evaluate the features of a run's best weights, without its classifier: by nearest neighbours, or a linear probe."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from engine.contract.data.datasets import SPLITS
from engine.contract.recipe.reader import read_recipe
from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import RunFailed, UsageError
from engine.contract.wire.jobs import EvaluateFeatures
from engine.contract.wire.protocol import EvaluationFinished, Progress
from engine.evaluate.frozen_features import TEMPERATURE, classifier_inputs, fit_probe, knn_scores
from engine.evaluate.metrics import Evaluated, evaluate_with_ci95
from engine.evaluate.predict import IDENTITY
from engine.events import now
from engine.run.best_weights import load_best
from engine.run.bundled_model import classifier_of
from engine.run.disk import check_disk_space
from engine.run.evaluate_job import (
    bytes_for,
    next_folder,
    plain_values,
    prepared_splits,
    require_weights,
    run_of,
    values_of,
    write_split_scores,
)
from engine.run.job import Job, JobResult
from engine.run.prepare import WithModel
from engine.run.scores import split_scores
from engine.sentences import Evaluation

Features = dict[str, np.ndarray]  # float32 [N, D], by split
EVALUATED = ("val", "test")


def evaluate_features(job: Job, command: EvaluateFeatures) -> JobResult:
    """Raises UsageError without weights or for too many neighbours, DataError, CheckpointError, RunFailed; OutputError
    where nothing can be written."""
    with job.control.interruptible():
        run = run_of(command.run, "evaluated")
        require_weights(run)
        recipe = read_recipe(run.recipe)
        prepared = prepared_splits(job, run, recipe, SPLITS)
        images = len(prepared.splits["train"])
        if command.method == "knn" and command.neighbours > images:
            raise UsageError(Evaluation.NEIGHBOURS, found=command.neighbours, images=images)
        check_disk_space(run.root, bytes_for(prepared), "An evaluation")
        prepared.model.load_state_dict(load_best(run))
    job.enter("evaluating")
    features = {split: _features(job, run, prepared, split) for split in SPLITS}
    with job.control.interruptible():
        scores, method = _scores(job, prepared, features, command)
    results = {split: _result(job, prepared, split, scores[split]) for split in EVALUATED}
    job.enter("reporting")
    folder = next_folder(run)
    name = f"{run.name}_{command.method}"
    write_split_scores(folder, prepared, results["test"], scores["test"], name)
    values = values_of(run, prepared, results["test"], [IDENTITY.name])
    values |= {"method": method, "validation": plain_values(results["val"].metrics)}
    (folder / "evaluation.json").write(json.dumps(values, indent=2) + "\n")
    return JobResult(metrics={"validation": results["val"].metrics, "test": results["test"].metrics})


def _features(job: Job, run: RunDirectory, prepared: WithModel, split: str) -> np.ndarray:
    """Of a split without augmentation or views. Raises RunFailed where they are not finite."""
    total = len(prepared.splits[split])
    on_progress = partial(_progress, job, f"reading the features of the {split} split", total)
    with classifier_inputs(prepared.model, classifier_of(prepared.built)) as passes:
        split_scores(prepared, prepared.model, split, [IDENTITY], on_progress)
    found = np.concatenate([part.numpy() for part in passes])
    if not np.isfinite(found).all():
        raise RunFailed(Evaluation.NOT_FINITE, run=run.name, split=split)
    return found


def _scores(
    job: Job, prepared: WithModel, features: Features, command: EvaluateFeatures
) -> tuple[Features, dict[str, Any]]:
    """Of the splits that are evaluated, float32 [N, K]; and what the evaluation says of how it was done."""
    labels, classes = prepared.labels, prepared.facts.classes
    if command.method == "knn":
        found = {
            split: knn_scores(
                features["train"],
                labels["train"],
                features[split],
                command.neighbours,
                classes,
                partial(_progress, job, f"finding the neighbours of the {split} split", len(features[split])),
            )
            for split in EVALUATED
        }
        how = {"name": "knn", "neighbours": command.neighbours, "distance": "cosine", "temperature": TEMPERATURE}
        return found, how | {"features": features["train"].shape[1], "images": len(features["train"])}
    probe = fit_probe(
        (features["train"], labels["train"]),
        (features["val"], labels["val"]),
        prepared.facts.task,
        classes,
        prepared.recipe.training.seed,
        partial(_progress, job, "fitting the linear probe", 0),
    )
    how = {"name": "probe", "c": probe.c, "tried": [asdict(one) for one in probe.tried]}
    how |= {"features": features["train"].shape[1], "images": probe.images, "seed": prepared.recipe.training.seed}
    return {split: probe.scores(features[split]) for split in EVALUATED}, how


def _result(job: Job, prepared: WithModel, split: str, scores: np.ndarray) -> Evaluated:
    facts = prepared.facts
    found = evaluate_with_ci95(prepared.labels[split], scores, facts.task, facts.class_names)
    job.stream.emit(
        EvaluationFinished(
            time=now(),
            dataset=facts.name,
            split=split,
            n=len(scores),
            views=[IDENTITY.name],
            metrics=found.metrics,
            per_class=found.per_class,
        )
    )
    return found


def _progress(job: Job, activity: str, total: int, done: int) -> None:
    job.control.raise_if_aborted()
    job.stream.snapshot(Progress(time=now(), phase="evaluating", activity=activity, done=done, total=total))
