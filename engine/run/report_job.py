"""Make the artifacts of a finished run again from what its folder holds: journal, manifest, scores, weights."""

from __future__ import annotations

import numpy as np

from engine.contract.data.datasets import SPLITS
from engine.contract.files.folders import File
from engine.contract.recipe.reader import read_recipe
from engine.contract.recipe.recorded import resolved_hash_of
from engine.contract.store.model_bundle import read_bundle
from engine.contract.store.run_directory import RunDirectory, read_object
from engine.contract.store.run_record import read_run
from engine.contract.wire.errors import CheckpointError, DataError, UsageError
from engine.contract.wire.jobs import Report
from engine.evaluate.metrics import Evaluated, evaluate_with_ci95
from engine.evaluate.predict import views_for
from engine.evaluate.score_file import read_scores
from engine.run.best_weights import load_best
from engine.run.bundle import describe_best
from engine.run.calibrate import complete_bundle
from engine.run.disk import REPORT_BYTES, check_disk_space
from engine.run.evaluate_job import bytes_for, prepared_splits, require_weights, run_of
from engine.run.history import history_of
from engine.run.job import Job, JobResult
from engine.run.needs import Needs
from engine.run.prepare import WITHOUT_TEST, WithModel
from engine.run.reporting import (
    altered_tables,
    announce,
    artifacts_of,
    remove_other_scores,
    report_of,
    score_file_path,
    write_each,
)
from engine.run.train_job import split_results
from engine.sentences import Decisions, Reports

FINISHED = ("completed", "stopped")


def report_again(job: Job, command: Report) -> JobResult:
    """Those that are missing, or all. Raises UsageError for a run that is not finished, DataError without its data;
    what kept an artifact from being written, when the others have been tried."""
    needs = Needs()
    with job.control.interruptible():
        run = run_of(command.run, "reported")
        record = read_run(run)
        if record.outcome not in FINISHED:
            raise UsageError(
                Reports.RUN_GOES_ON if record.alive else Reports.RUN_ENDED, run=run.name, state=record.state
            )
        recipe = read_recipe(run.recipe)
        tested = recipe.evaluation.test
        undescribed = run.best.is_regular and not _is_described(run)
        every = SPLITS if tested else WITHOUT_TEST
        prepared = prepared_splits(job, run, recipe, every if undescribed else every[-1:])
        check_disk_space(run.root, REPORT_BYTES + (bytes_for(prepared) if tested else 0), "A report")
        needs.check(job.control.raise_if_aborted)
    job.enter("evaluating")
    result, scores, score_file = _results(job, run, prepared) if tested else (None, None, None)
    manifest = read_object(run.manifest) or {}
    if undescribed:
        _describe(job, run, prepared, resolved_hash_of(manifest, recipe))
    best, history = record.summary.validation, history_of(run)
    report = report_of(run, prepared, history, manifest, record.outcome, best, result, scores)
    job.enter("reporting")
    artifacts = artifacts_of(run, score_file)
    for folder in {path.parent.name_below for _, path, _ in artifacts}:
        run.folder.file(folder).make_folder(exist_ok=True)
    altered = altered_tables(run, report)
    for name in sorted(altered):
        job.stream.note(Decisions.TABLE_AGAIN, "warning", table=f"{name}.csv")
    chosen = [one for one in artifacts if command.everything or one[0] in altered or not one[1].is_regular]
    failed = write_each(job, run, report, chosen)
    for error in failed.values():
        raise error
    if score_file is not None:
        remove_other_scores(run, score_file)
    return JobResult(metrics={"validation": None, "test": result.metrics if result is not None else None})


def _is_described(run: RunDirectory) -> bool:
    """Has it what is needed to use its best weights?"""
    try:
        bundle = read_bundle(run.model_bundle)
    except CheckpointError:
        return False
    return bundle.features is None or run.features.is_regular


def _describe(job: Job, run: RunDirectory, prepared: WithModel, resolved_hash: str | None) -> None:
    """As the run did when it ended. Raises CheckpointError or OSError."""
    prepared.model.load_state_dict(load_best(run))
    describe_best(run, prepared, resolved_hash)  # though what completes it may fail
    complete_bundle(job, run, prepared, prepared.model, resolved_hash)
    announce(job, run, "model", run.model_bundle)


def _results(job: Job, run: RunDirectory, prepared: WithModel) -> tuple[Evaluated, np.ndarray, File]:
    """The test split's results by the run's own scores; without them the best weights are evaluated again."""
    labels, facts = prepared.labels["test"], prepared.facts
    troubles: list[DataError] = []
    for file in (file for file in run.score_files() if file.is_regular):
        try:
            scores = read_scores(file.path, len(labels), facts.classes).astype(np.float32)
        except DataError as error:
            troubles.append(error)
            continue
        return evaluate_with_ci95(labels, scores, facts.task, facts.class_names), scores, file
    for trouble in troubles:
        job.stream.note(Decisions.SCORES_AGAIN, "warning", reason=trouble.message)
    require_weights(run)
    prepared.model.load_state_dict(load_best(run))
    views = views_for(facts.symmetry, prepared.recipe.evaluation.tta)
    result, scores = split_results(job, prepared, prepared.model, "test", views)
    return result, scores, score_file_path(run, prepared, result.metrics)
