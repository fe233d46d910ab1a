"""One training run; `train` reads like a table of contents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from engine.contract.recipe.identity import recipe_hash, run_name
from engine.contract.recipe.steps import steps_per_epoch
from engine.contract.recipe.training_loss import only_in_training
from engine.contract.store.run_directory import RunDirectory, make_run_directory
from engine.contract.wire.errors import COMPLETED, STOPPED
from engine.contract.wire.jobs import Train
from engine.contract.wire.monitor import describe_better
from engine.contract.wire.protocol import EvaluationFinished, Metrics, Progress, RunStarted
from engine.contract.wire.text import counted
from engine.evaluate.metrics import Evaluated, evaluate, evaluate_with_ci95
from engine.evaluate.predict import IDENTITY, View, views_for
from engine.events import now
from engine.model.build import count_parameters
from engine.run.bundle import describe_best
from engine.run.calibrate import complete_bundle
from engine.run.callbacks import TrainingCallbacks
from engine.run.job import Job, JobResult
from engine.run.manifest import write_manifest, write_recipe
from engine.run.needs import Needs, check_compiler
from engine.run.prepare import Prepared, WithModel, prepare
from engine.run.reporting import (
    attach,
    describe_evaluated,
    report_of,
    score_file_path,
    store_first_batch,
    write_artifacts,
)
from engine.run.resume import recover_best, reopen_run
from engine.run.resumed import recipe_of, resumed_run
from engine.run.retention import drop_previous_checkpoints
from engine.run.scores import ScoresOf, split_scores
from engine.run.training import TrainingBatches, loop_plan, new_state, training_step
from engine.sentences import Decisions
from engine.train.checkpoint import load_weights
from engine.train.loop import Loop, TakeStep, Validation
from engine.train.state import TrainingState

CONFUSION_CLASSES = 30  # a larger matrix is for the report, not for every epoch of the journal


def train(job: Job, command: Train) -> JobResult:
    needs = Needs()
    with job.control.interruptible():
        resumed = resumed_run(job, command)
        prepared = prepare(job, recipe_of(command, resumed), resumed)
        state = new_state(prepared)
        if prepared.training.compile:
            check_compiler(prepared.device)
        needs.check(job.control.raise_if_aborted)
    run, manifest = reopen_run(job, prepared, resumed, state) if resumed else open_run(job, prepared)
    announce_run(job, run, prepared, manifest)
    attach(job, run, prepared)
    with processes_of(job, prepared, state) as processes:
        finished = fit(job, run, prepared, state, manifest["resolved_hash"], processes)
        validation = best_weights(job, run, prepared, state, processes.scores)
        if prepared.training.swa_start:
            weights = describe_evaluated(prepared.training, state.history)
            job.stream.note(Decisions.EVALUATED_WEIGHTS, weights=weights)
        test, scores = None, None
        if prepared.recipe.evaluation.test:
            test, scores = test_results(job, prepared, state.evaluated, processes.scores)
        else:
            job.stream.note(Decisions.NOT_TESTED)
    complete_bundle(job, run, prepared, state.evaluated, manifest["resolved_hash"])
    outcome, exit_code = ("completed", COMPLETED) if finished else ("stopped", STOPPED)
    report = report_of(run, prepared, state.history, manifest, outcome, validation, test, scores)
    write_artifacts(job, run, report, score_file_path(run, prepared, test.metrics) if test is not None else None)
    if finished:
        drop_previous_checkpoints(job, run, state)
    metrics = {"validation": validation, "test": test.metrics if test is not None else None}
    return JobResult(outcome="completed" if finished else "stopped", exit_code=exit_code, metrics=metrics)


def open_run(job: Job, prepared: Prepared) -> tuple[RunDirectory, dict[str, Any]]:
    """Nothing refuses any more: the run directory is made and the journal opened. With it, the manifest."""
    job.control.raise_if_aborted()
    run = make_run_directory(job.workspace.make_outputs(), run_name(prepared.recipe, datetime.now().date()))
    run.folder.hold()  # from here on the run is this folder, wherever the workspace is moved
    job.run = run
    write_recipe(run, prepared.recipe, job)
    job.on_run_directory(run)
    if job.lock:
        job.lock.describe(run.name)
    return run, write_manifest(run, prepared, job)


def announce_run(job: Job, run: RunDirectory, prepared: Prepared, manifest: dict[str, Any]) -> None:
    recipe, training = prepared.recipe, prepared.training
    attempt = manifest["attempts"][-1]
    job.stream.emit(
        RunStarted(
            time=now(),
            attempt=attempt["attempt"],
            resumed_from=attempt["resumed_from"],
            run=run.name,
            run_dir=str(run.root),
            recipe_hash=recipe_hash(recipe),
            dataset=prepared.facts.name,
            size=recipe.dataset.size,
            input_size=recipe.enlarged_to,
            task=prepared.facts.task,
            synthetic=prepared.facts.synthetic,
            limit=prepared.recipe.dataset.limit,
            class_names=list(prepared.facts.class_names),
            model=recipe.model.name,
            parameters=count_parameters(prepared.model),
            epochs=training.epochs,
            steps_per_epoch=steps_per_epoch(len(prepared.splits["train"]), training.images_per_step),
            batch_size=training.images_per_batch,
            accumulate=training.accumulate,
            images={name: len(split) for name, split in prepared.splits.items()},
            patience=training.patience,
            monitor=training.monitor,
            device=prepared.decisions["device"],
            decisions=prepared.decisions,
            resolved=prepared.resolved,
            resolved_hash=manifest["resolved_hash"],
            only_in_training_loss=only_in_training(training),
            seed=training.seed,
            schedule=training.schedule,
            lr=training.lr,
            clip_norm=training.clip_norm,
            drift=manifest["drift"],
        )
    )


@dataclass(frozen=True)
class Processes:
    """How the processes of a run work together; that of most runs does alone what there is to do."""

    take_step: TakeStep | None = None  # None: the loop's own
    scores: ScoresOf = split_scores


@contextmanager
def processes_of(job: Job, prepared: Prepared, state: TrainingState) -> Iterator[Processes]:
    """The other processes of the run, where it has some, as long as the context lasts. Raises RunFailed."""
    if prepared.recipe.runtime.processes == 1:
        yield Processes()
        return
    from engine.run.ranks.launcher import launched  # a run of one process has no need of it

    with launched(job, prepared, state) as ranks:
        yield Processes(ranks.take_step, ranks.scores)


def fit(
    job: Job,
    run: RunDirectory,
    prepared: Prepared,
    state: TrainingState,
    resolved_hash: str | None,
    processes: Processes,
) -> bool:
    """Train to the end, or to a command, and enter `evaluating`; False when it ended early by one."""
    training = prepared.training
    runtime = prepared.recipe.runtime
    budget, every = (minutes and minutes * 60 for minutes in (runtime.max_minutes, runtime.checkpoint_minutes))
    saved_at = (state.epoch, state.step) if state.global_step else None
    describe = partial(describe_best, run, prepared, resolved_hash)
    callbacks = TrainingCallbacks(job, run, training.epochs, budget, every, saved_at, describe)
    recover_best(run, state, callbacks.save_best)
    describe()
    callbacks.tables.begin(state.history)
    plan = loop_plan(prepared, len(state.losses))
    step = training_step(prepared, training.images_per_batch)

    def validate(model: nn.Module) -> Validation:
        total = len(prepared.splits["val"])
        scores = processes.scores(
            prepared, model, "val", [IDENTITY], lambda done: callbacks.on_validation_batch(state, done, total)
        )
        result = evaluate(prepared.labels["val"], scores, prepared.facts.task, prepared.facts.class_names)
        shown = result.confusion.ndim == 2 and len(result.confusion) <= CONFUSION_CLASSES
        return Validation(result.metrics, result.per_class, result.confusion.tolist() if shown else None)

    with closing(TrainingBatches(prepared)) as batches:
        loop = Loop(plan, state, step, batches, validate, callbacks, processes.take_step)
        if training.swa_start:
            job.stream.note(Decisions.AVERAGED_WEIGHTS, epoch=training.swa_start)
        if not loop.over:  # a run that was interrupted after training
            store_first_batch(job, run, prepared)  # before the phase in which a stop finds a step to finish
            job.enter("training")
        finished = loop.run()
    if finished and state.epoch < training.epochs:
        better, waited = describe_better(training.monitor), counted(training.patience or 0, "epoch")
        job.stream.note(Decisions.EARLY_STOP, epoch=state.epoch, waited=waited, better=better, best=state.best_epoch)
    callbacks.training_over(state)
    if state.best_epoch is None:  # what is tested can then be used and exported too
        where = {"epoch": state.epoch + (state.step > 0), "step": state.step or len(state.losses)}
        job.stream.note(Decisions.NEWEST_AS_BEST, **where)
        callbacks.save_best(state)
    return finished


def best_weights(
    job: Job, run: RunDirectory, prepared: Prepared, state: TrainingState, scores_of: ScoresOf
) -> Metrics | None:
    """Put the best weights into `state.evaluated`; the validation metrics that go with them.

    Without a best epoch (stopped before any validation, or a monitored metric that was never defined) the current
    weights, which `best` then holds, are validated and used.
    """
    if state.best_epoch is not None:
        state.evaluated.load_state_dict(load_weights(run.best))
        if job.stream.summary.best_epoch == state.best_epoch:  # else the journal was damaged
            return job.stream.summary.validation
    result, _ = split_results(job, prepared, state.evaluated, "val", [IDENTITY], scores_of)
    return result.metrics


def test_results(job: Job, prepared: Prepared, model: nn.Module, scores_of: ScoresOf) -> tuple[Evaluated, np.ndarray]:
    views = views_for(prepared.facts.symmetry, prepared.recipe.evaluation.tta)
    return split_results(job, prepared, model, "test", views, scores_of)


def split_results(
    job: Job, prepared: WithModel, model: nn.Module, split: str, views: list[View], scores_of: ScoresOf = split_scores
) -> tuple[Evaluated, np.ndarray]:
    """Evaluate a split once, and emit the result. Scores: float32 [N, K]."""
    total = len(prepared.splits[split])

    def on_progress(done: int) -> None:
        job.control.raise_if_aborted()
        activity = f"evaluating the {split} split"
        job.stream.snapshot(Progress(time=now(), phase="evaluating", activity=activity, done=done, total=total))

    scores = scores_of(prepared, model, split, views, on_progress)
    result = evaluate_with_ci95(prepared.labels[split], scores, prepared.facts.task, prepared.facts.class_names)
    job.stream.emit(
        EvaluationFinished(
            time=now(),
            dataset=prepared.facts.name,
            split=split,
            n=total,
            views=[view.name for view in views],
            metrics=result.metrics,
            per_class=result.per_class,
        )
    )
    return result, scores
