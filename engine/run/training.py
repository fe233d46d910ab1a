"""What training is made of: the state that it changes, its steps, its batches and their order."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import torch

from engine.contract.recipe.steps import steps_per_epoch
from engine.contract.wire.monitor import BEST_BY
from engine.data.augment import SampledAugmentation, augment, draw, parameters_of, unit_range
from engine.data.batches import Batches
from engine.randomness import generator
from engine.run.prepare import Prepared, mixing_of, sampling_of
from engine.train.ema import MovingAverage
from engine.train.loop import LoopPlan
from engine.train.loss import Criterion
from engine.train.optimizer import OptimizerPlan, build_optimizer
from engine.train.schedule import Plateau, Schedule
from engine.train.state import TrainingState
from engine.train.step import TrainingStep
from engine.train.swa import WeightMean

DRAWN_AT_ONCE = 2**12  # images: more would make the first batch wait, and save nothing
DRAWN_FOR_DEVICE = 2**16  # images: a whole epoch of most data sets in one copy to the device, of 20 MB


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


class TrainingBatches:
    """Batches by (epoch, step): ordered, augmented and normalised, every random number from its own key.

    Close it after use: images may be read ahead by a thread.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        split, size = prepared.splits["train"], prepared.training.images_per_step
        self._batches = Batches(split, size, epoch_orders(prepared))
        self._sampled = AugmentedEpochs(prepared, split.device)

    def __call__(self, epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = self._batches.fetch(epoch, step)
        return augmented(self._prepared, images, self._sampled.of(epoch, step)), labels

    def close(self) -> None:
        self._batches.close()


class AugmentedEpochs:
    """How each image of a batch is augmented: drawn for many batches at once, each by its own key."""

    def __init__(self, prepared: Prepared, device: torch.device | None = None) -> None:
        """`device`: where the parameters are wanted."""
        self._augmentation, self._device = prepared.augmentation, device
        self._images, self._seed = len(prepared.splits["train"]), prepared.training.seed
        self._size = prepared.training.images_per_step
        on_cpu = device is None or device.type == "cpu"
        self._steps = max(1, (DRAWN_AT_ONCE if on_cpu else DRAWN_FOR_DEVICE) // self._size)
        self._part = lru_cache(maxsize=1)(self._drawn)

    def of(self, epoch: int, step: int) -> SampledAugmentation:
        part, own = divmod(step, self._steps)
        return self._part(epoch, part).chosen(slice(own * self._size, (own + 1) * self._size))

    def _drawn(self, epoch: int, part: int) -> SampledAugmentation:
        """Of part `part` of an epoch, which has `_steps` batches, or what is left."""
        first = part * self._steps
        starts = range(first * self._size, min((first + self._steps) * self._size, self._images), self._size)
        uniform = [
            draw(
                self._augmentation,
                min(self._size, self._images - start),
                generator(self._seed, "augment", epoch, start // self._size),
            )
            for start in starts
        ]
        found = parameters_of(self._augmentation, np.concatenate(uniform))
        return found if self._device is None else found.on(self._device)


def augmented(prepared: Prepared, images: torch.Tensor, sampled: SampledAugmentation) -> torch.Tensor:
    """What the model is given of uint8 [B, C, H, W]: float32, augmented and normalised."""
    changed = augment(unit_range(images), prepared.augmentation, sampled)
    return prepared.normalise(changed).contiguous(memory_format=torch.channels_last)


def epoch_orders(prepared: Prepared) -> Callable[[int], np.ndarray]:
    """The rows of the training split in the order of an epoch, int64 [N]; kept while it lasts."""
    training = prepared.training
    return lru_cache(maxsize=1)(partial(sampling_of(training).order, prepared.labels["train"], training.seed))
