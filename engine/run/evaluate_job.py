"""Evaluate a run's test split again, from its best weights; nothing of the run itself is changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.contract.data.datasets import DatasetFacts
from engine.contract.files.folders import File
from engine.contract.recipe.reader import read_recipe
from engine.contract.recipe.recipe import Recipe
from engine.contract.store.checkpoint_file import read_header, weights_digest
from engine.contract.store.model_bundle import read_bundle
from engine.contract.store.resumable import data_folders_of
from engine.contract.store.run_directory import RunDirectory, read_object, refuse_untrusted_entries
from engine.contract.store.run_record import read_run
from engine.contract.wire.errors import CheckpointError, OutputError, UsageError
from engine.contract.wire.jobs import Evaluate
from engine.contract.wire.message import Message
from engine.evaluate.metrics import Evaluated
from engine.evaluate.predict import views_for
from engine.evaluate.score_file import ScoreFileName, write_scores
from engine.events import now
from engine.model.build import Statistics
from engine.run.best_weights import load_best
from engine.run.disk import check_disk_space
from engine.run.job import Job, JobResult
from engine.run.own_data import refuse_other_data
from engine.run.prepare import LoadedData, WithModel, load_data, model_for, open_data, set_up, untrained_model
from engine.run.train_job import split_results
from engine.sentences import Evaluation


def evaluate_again(job: Job, command: Evaluate) -> JobResult:
    """Raises UsageError without weights, DataError, CheckpointError; OutputError where nothing can be written."""
    with job.control.interruptible():
        run = run_of(command.run, "evaluated")
        require_weights(run)
        recipe = read_recipe(run.recipe)
        prepared = prepared_test(job, run, recipe)
        check_disk_space(run.root, bytes_for(prepared), "An evaluation")
        prepared.model.load_state_dict(load_best(run))
    job.enter("evaluating")
    tta = recipe.evaluation.tta if command.tta is None else command.tta
    views = views_for(prepared.facts.symmetry, tta)
    result, scores = split_results(job, prepared, prepared.model, "test", views)
    job.enter("reporting")
    folder = next_folder(run)
    write_split_scores(folder, prepared, result, scores, run.name)
    values = values_of(run, prepared, result, [view.name for view in views])
    (folder / "evaluation.json").write(json.dumps(values, indent=2) + "\n")
    return JobResult(metrics={"validation": None, "test": result.metrics})


def run_of(folder: str, what: str) -> RunDirectory:
    """The run of the command, held; it is to be `what`: evaluated, reported. Raises UsageError."""
    run = RunDirectory(Path(folder))
    run.folder.hold()
    refuse_untrusted_entries(run, what)
    return run


def require_weights(run: RunDirectory) -> None:
    """Raises CheckpointError where a run that had them has them no more, UsageError where it never had."""
    if run.best.is_regular:
        return
    record = read_run(run)
    if record.outcome == "completed" or record.summary.best_epoch is not None:
        read_header(run.best)  # refuses
    raise UsageError(Evaluation.NO_WEIGHTS, run=run.name, path=run.best)


def prepared_test(job: Job, run: RunDirectory, recipe: Recipe) -> WithModel:
    """The test split of a run, and its model without weights."""
    return prepared_splits(job, run, recipe, ("test",))


def prepared_splits(job: Job, run: RunDirectory, recipe: Recipe, splits: Sequence[str]) -> WithModel:
    """Splits of a run, and its model without weights: those it started from may not be there any more."""
    loaded = loaded_splits(job, run, recipe, splits)
    return model_for(loaded, untrained_model(loaded))


def loaded_splits(job: Job, run: RunDirectory, recipe: Recipe, splits: Sequence[str]) -> LoadedData:
    """Splits of a run as it was trained on. Raises DriftError where they are others now."""
    job = replace(job, last_folders=data_folders_of(read_object(run.manifest) or {}))
    setup = set_up(job, recipe)
    opened = open_data(job, setup)
    refuse_other_data(run, recipe, opened.data)
    return load_data(job, opened, splits, _recorded_statistics(run, setup.facts))


def _recorded_statistics(run: RunDirectory, facts: DatasetFacts) -> Statistics | None:
    """What the run normalised its images with: no training image is read for it. None where it is not recorded."""
    try:
        bundle = read_bundle(run.model_bundle)
    except CheckpointError:
        return None
    fits = len(bundle.mean) == len(bundle.std) == (1 if facts.channels == 1 else 3) and min(bundle.std) > 0
    return (list(bundle.mean), list(bundle.std)) if fits else None


def bytes_for(prepared: LoadedData) -> int:
    """Bytes that the scores of the test split may take as text, and the metrics next to them."""
    return (len(prepared.splits["test"]) * (8 + 26 * prepared.facts.classes)) + 1_000_000


def write_split_scores(folder: File, prepared: LoadedData, result: Evaluated, scores: np.ndarray, run: str) -> None:
    """The official result file of the test split. run: what its name ends with. scores: float32 [N, K]."""
    name = ScoreFileName(prepared.facts.name, prepared.recipe.dataset.size, "test")
    file = name.write(result.metrics.auc, result.metrics.acc, run)
    write_scores(folder / (f"limited_{file}" if prepared.limited else file), scores)


def next_folder(run: RunDirectory) -> File:
    """`evaluations/1`, `evaluations/2` …, by exclusive mkdir."""
    for number in count(1):
        folder = run.evaluations / str(number)
        try:
            run.evaluations.make_folder(exist_ok=True)
            folder.make_folder()
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(Evaluation.NOT_CREATED, folder=folder, reason=error.strerror) from None
        return folder
    raise AssertionError("there is always a next number")


def plain_values(message: Message) -> Any:
    """As in the protocol."""
    return json.loads(message.model_dump_json())


def values_of(run: RunDirectory, prepared: LoadedData, result: Evaluated, views: list[str]) -> dict[str, Any]:
    """What was found and from what."""
    return {
        "time": now(),
        "split": "test",
        "n": len(prepared.splits["test"]),
        "views": views,
        "metrics": plain_values(result.metrics),
        "per_class": [plain_values(row) for row in result.per_class],
        "confusion": result.confusion.tolist(),
        "weights": {"path": run.best.name_below, "digest": weights_digest(run.best)},
        "data_md5": prepared.data.md5,
        "data_fingerprint": prepared.data.fingerprint,
        "torch": torch.__version__,
    }
