"""One training run; `train` reads like a table of contents."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import torch
from torch import nn

from engine.contract.errors import COMPLETED, STOPPED
from engine.contract.protocol import EvaluationFinished, Metrics, Progress, RunStarted
from engine.contract.recipe_conflicts import SMALL_IMAGE_LIMIT
from engine.contract.run_directory import RunDirectory, make_run_directory
from engine.contract.run_identity import recipe_hash, run_name
from engine.data.augment import augment, draw, unit_range
from engine.data.batches import Batches, in_order, steps_per_epoch
from engine.evaluate.metrics import Evaluated, evaluate
from engine.evaluate.predict import IDENTITY, View, predict_scores, views_for
from engine.events import now
from engine.model.build import count_parameters
from engine.randomness import epoch_order, generator
from engine.run.earlier import earlier_run
from engine.run.job import Job, JobResult
from engine.run.manifest import write_manifest, write_recipe
from engine.run.prepare import Prepared, prepare
from engine.run.reporting import report_of, score_file_path, write_artifacts
from engine.run.resume import recover_best, reopen_run
from engine.run.watcher import TrainingWatcher
from engine.train.checkpoint import load_weights
from engine.train.ema import MovingAverage
from engine.train.loop import Fetch, Loop, LoopPlan, Validation
from engine.train.loss import Criterion
from engine.train.mixup import MixUp
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.schedule import Plateau, Schedule
from engine.train.state import TrainingState
from engine.train.step import TrainingStep


def train(job: Job) -> JobResult:
    earlier = earlier_run(job)
    prepared = prepare(job, earlier)
    state = new_state(prepared)
    run, manifest = reopen_run(job, prepared, earlier, state) if earlier else open_run(job, prepared)
    announce_run(job, run, prepared, manifest)
    finished = fit(job, run, prepared, state)
    job.enter("evaluating")
    validation = best_weights(job, run, prepared, state)
    test, scores = test_results(job, prepared, state.evaluated)
    outcome, exit_code = ("completed", COMPLETED) if finished else ("stopped", STOPPED)
    report = report_of(run, prepared, state, manifest, outcome, validation, test, scores)
    write_artifacts(job, run, report, score_file_path(run, prepared, test.metrics))
    metrics = {"validation": validation, "test": test.metrics}
    return JobResult(outcome="completed" if finished else "stopped", exit_code=exit_code, metrics=metrics)


def open_run(job: Job, prepared: Prepared) -> tuple[RunDirectory, dict[str, Any]]:
    """Nothing refuses any more: the run directory is made and the journal opened. With it, the manifest."""
    job.control.raise_if_aborted()
    run = make_run_directory(job.workspace.make_outputs(), run_name(prepared.recipe, datetime.now().date()))
    job.run = run
    write_recipe(run, prepared.recipe, job)
    job.on_run_directory(run)
    if job.lock:
        job.lock.describe(run.name)
    return run, write_manifest(run, prepared, job)


def announce_run(job: Job, run: RunDirectory, prepared: Prepared, manifest: dict[str, Any]) -> None:
    recipe, training = prepared.recipe, prepared.recipe.training
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
            task=prepared.facts.task,
            synthetic=prepared.facts.synthetic,
            limit=prepared.recipe.dataset.limit,
            class_names=list(prepared.facts.class_names),
            model=recipe.model.name,
            parameters=count_parameters(prepared.model),
            epochs=training.epochs,
            steps_per_epoch=steps_per_epoch(len(prepared.splits["train"]), training.batch_size),
            batch_size=training.batch_size,
            images={name: len(split) for name, split in prepared.splits.items()},
            patience=training.patience,
            device=prepared.decisions["device"],
            decisions=prepared.decisions,
            drift=manifest["drift"],
        )
    )


def new_state(prepared: Prepared) -> TrainingState:
    training, model = prepared.recipe.training, prepared.model
    steps = steps_per_epoch(len(prepared.splits["train"]), training.batch_size)
    optimizer = OptimizerPlan(training.optimizer, training.momentum, training.nesterov, training.weight_decay)
    return TrainingState(
        model=model,
        optimizer=build_optimizer(model, optimizer),
        losses=torch.zeros(steps, dtype=torch.float32, device=prepared.device),
        right=torch.zeros(steps, dtype=torch.float64, device=prepared.device),
        average=MovingAverage(model, training.ema_decay) if training.ema_decay else None,
        scaler=torch.amp.GradScaler("cuda") if prepared.precision.dtype == torch.float16 else None,
        plateau=Plateau(training.plateau_patience, training.plateau_factor) if training.schedule == "plateau" else None,
    )


def fit(job: Job, run: RunDirectory, prepared: Prepared, state: TrainingState) -> bool:
    """Train to the end, or to a command; False when it ended early by one."""
    training = prepared.recipe.training
    runtime = prepared.recipe.runtime
    budget, every = (minutes and minutes * 60 for minutes in (runtime.max_minutes, runtime.checkpoint_minutes))
    saved_at = (state.epoch, state.step) if state.global_step else None
    watcher = TrainingWatcher(job, run, training.epochs, budget, every, saved_at)
    recover_best(run, state, watcher.save_best)
    plan = loop_plan(prepared, len(state.losses))
    forward = torch.compile(state.model) if training.compile else state.model
    step = TrainingStep(
        Criterion(prepared.facts.task, training.label_smoothing, prepared.class_weights),
        prepared.precision,
        training.clip_norm,
        forward,
    )

    def validate(model: nn.Module) -> Validation:
        total = len(prepared.splits["val"])
        scores = split_scores(
            prepared, model, "val", [IDENTITY], lambda done: watcher.between_validation_batches(state, done, total)
        )
        result = evaluate(prepared.labels["val"], scores, prepared.facts.task, prepared.facts.class_names)
        return Validation(result.metrics, result.per_class)

    loop = Loop(plan, state, step, training_batches(prepared), validate, watcher)
    if not loop.over:  # a run that was interrupted later goes on later
        job.enter("training")
    return loop.run()


def loop_plan(prepared: Prepared, steps: int) -> LoopPlan:
    training = prepared.recipe.training
    return LoopPlan(
        epochs=training.epochs,
        steps=steps,
        images=min(len(prepared.splits["train"]), steps * training.batch_size),
        batch_size=training.batch_size,
        seed=training.seed,
        patience=training.patience,
        schedule=Schedule(
            training.schedule, training.lr, training.min_lr, training.epochs * steps, training.warmup_epochs * steps
        ),
        mixup=MixUp(training.mixup_alpha, training.mixup_until),
    )


def training_batches(prepared: Prepared) -> Fetch:
    """Batches by (epoch, step): ordered, augmented and normalised, every draw from its own key."""
    batches = Batches(prepared.splits["train"], prepared.recipe.training.batch_size)
    seed = prepared.recipe.training.seed
    orders: dict[int, np.ndarray] = {}

    def fetch(epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        if epoch not in orders:
            orders.clear()
            orders[epoch] = epoch_order(seed, epoch, len(batches.split))
        images, labels = batches.fetch(orders[epoch], step)
        draws = draw(prepared.augmentation, len(images), generator(seed, "augment", epoch, step))
        changed = augment(unit_range(images), prepared.augmentation, draws)
        return prepared.normalise(changed).contiguous(memory_format=torch.channels_last), labels

    return fetch


def best_weights(job: Job, run: RunDirectory, prepared: Prepared, state: TrainingState) -> Metrics | None:
    """Put the best weights into `state.evaluated`; the validation metrics that go with them.

    Without a best epoch (stopped before any validation, or an AUC that was never defined) the current weights are
    validated and used, and not recorded as best.
    """
    if state.best_epoch is not None:
        state.evaluated.load_state_dict(load_weights(run.best))
        if job.stream.summary.best_epoch == state.best_epoch:  # else the journal was damaged
            return job.stream.summary.validation
    result, _ = split_results(job, prepared, state.evaluated, "val", [IDENTITY])
    return result.metrics


def test_results(job: Job, prepared: Prepared, model: nn.Module) -> tuple[Evaluated, np.ndarray]:
    views = views_for(prepared.facts.symmetry, prepared.recipe.evaluation.tta)
    return split_results(job, prepared, model, "test", views)


def split_results(
    job: Job, prepared: Prepared, model: nn.Module, split: str, views: list[View]
) -> tuple[Evaluated, np.ndarray]:
    """Evaluate a split once, and tell it. Scores: float32 [N, K]."""
    total = len(prepared.splits[split])

    def between(done: int) -> None:
        job.control.raise_if_aborted()
        activity = f"evaluating the {split} split"
        job.stream.snapshot(Progress(time=now(), phase="evaluating", activity=activity, done=done, total=total))

    scores = split_scores(prepared, model, split, views, between)
    result = evaluate(prepared.labels[split], scores, prepared.facts.task, prepared.facts.class_names)
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


def evaluation_batch(size: int) -> int:
    """Images a forward pass; apart from training's, so that the same weights always give the same scores."""
    return 128 if size <= SMALL_IMAGE_LIMIT else 32


def split_scores(
    prepared: Prepared, model: nn.Module, split: str, views: list[View], between: Callable[[int], None]
) -> np.ndarray:
    return predict_scores(
        model,
        (images for images, _ in in_order(prepared.splits[split], evaluation_batch(prepared.recipe.dataset.size))),
        lambda images: prepared.normalise(unit_range(images)),
        prepared.facts.task,
        views,
        prepared.precision.context,
        between,
    )
