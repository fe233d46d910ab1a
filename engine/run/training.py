"""What training is made of: the state that it changes, its steps, its batches and their order."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import torch

from engine.contract.recipe.steps import steps_per_epoch
from engine.contract.wire.monitor import BEST_BY
from engine.data.augment import SampledAugmentation, augment, sample, unit_range
from engine.data.batches import Batches
from engine.randomness import generator
from engine.run.prepare import Prepared, mixing_of, sampling_of
from engine.train.ema import MovingAverage
from engine.train.loop import Fetch, LoopPlan
from engine.train.loss import Criterion
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.schedule import Plateau, Schedule
from engine.train.state import TrainingState
from engine.train.step import TrainingStep
from engine.train.swa import WeightMean


def new_state(prepared: Prepared) -> TrainingState:
    training, model = prepared.training, prepared.model
    steps = steps_per_epoch(len(prepared.splits["train"]), training.images_per_step)
    optimizer = OptimizerPlan(training.optimizer, training.momentum, training.nesterov, training.weight_decay)
    return TrainingState(
        model=model,
        optimizer=build_optimizer(model, optimizer, prepared.built.groups),
        losses=torch.zeros(steps, dtype=torch.float32, device=prepared.device),
        n_correct=torch.zeros(steps, dtype=torch.float64, device=prepared.device),
        average=MovingAverage(model, training.ema_decay) if training.ema_decay else None,
        swa=WeightMean(model) if training.swa_start else None,
        scaler=torch.amp.GradScaler("cuda") if prepared.precision.dtype == torch.float16 else None,
        plateau=Plateau(training.plateau_patience, training.plateau_factor) if training.schedule == "plateau" else None,
    )


def training_step(prepared: Prepared, part: int) -> TrainingStep:
    """`part`: images that go through the model at a time."""
    training, model = prepared.training, prepared.model
    return TrainingStep(
        Criterion(prepared.facts.task, training.label_smoothing, prepared.class_weights, training.focal_gamma),
        prepared.precision,
        training.clip_norm,
        torch.compile(model) if training.compile else model,
        part,
    )


def loop_plan(prepared: Prepared, steps: int) -> LoopPlan:
    training = prepared.training
    return LoopPlan(
        epochs=training.epochs,
        steps=steps,
        images=min(len(prepared.splits["train"]), steps * training.images_per_step),
        batch_size=training.images_per_step,
        seed=training.seed,
        patience=training.patience,
        schedule=Schedule(
            training.schedule, training.lr, training.min_lr, training.epochs * steps, training.warmup_epochs * steps
        ),
        mixup=mixing_of(training),
        monitor=training.monitor,
        loss_decides=prepared.resolved.best_by == BEST_BY[training.monitor],
        swa_start=training.swa_start,
    )


def training_batches(prepared: Prepared) -> Fetch:
    """Batches by (epoch, step): ordered, augmented and normalised, every random number from its own key."""
    training, split = prepared.training, prepared.splits["train"]
    batches, order_of = Batches(split, training.images_per_step), epoch_orders(prepared)

    def fetch(epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = batches.fetch(order_of(epoch), step)
        return augmented(prepared, images, sampled_augmentation(prepared, len(images), epoch, step)), labels

    return fetch


def sampled_augmentation(prepared: Prepared, images: int, epoch: int, step: int) -> SampledAugmentation:
    """How each image of a batch is augmented, by the batch's own key."""
    return sample(prepared.augmentation, images, generator(prepared.training.seed, "augment", epoch, step))


def augmented(prepared: Prepared, images: torch.Tensor, sampled: SampledAugmentation) -> torch.Tensor:
    """What the model is given of uint8 [B, C, H, W]: float32, augmented and normalised."""
    changed = augment(unit_range(images), prepared.augmentation, sampled)
    return prepared.normalise(changed).contiguous(memory_format=torch.channels_last)


def epoch_orders(prepared: Prepared) -> Callable[[int], np.ndarray]:
    """The rows of the training split in the order of an epoch, int64 [N]; kept while it lasts."""
    training, truth = prepared.training, prepared.splits["train"].labels.cpu().numpy()
    return lru_cache(maxsize=1)(partial(sampling_of(training).order, truth, training.seed))
