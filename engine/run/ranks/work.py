"""What every process of a run does of its work: its part of each training step, and of a split's scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from engine.device import to_device
from engine.evaluate.predict import View, evaluation_batch
from engine.run.prepare import Prepared, WithModel, mixing_of
from engine.run.ranks.group import Group
from engine.run.scores import split_scores
from engine.run.training import AugmentedEpochs, augmented, epoch_orders, training_step
from engine.train.mixup import mix_for
from engine.train.sharded import Batch, ShardedStep


def sharded_step(prepared: Prepared, group: Group) -> ShardedStep:
    """The training step of `runtime.processes`. A process has its part of each batch in the memory at a time."""
    training = prepared.training
    part = -(-training.images_per_batch // group.processes)
    return ShardedStep(training_step(prepared, part), _batches(prepared), training.seed, group)


def _batches(prepared: Prepared) -> Callable[[int, int], Batch]:
    """Batches by (epoch, step), as `training_batches` makes them: each image by the draws that it has there."""
    training, split = prepared.training, prepared.splits["train"]
    size, seed, order_of = training.images_per_step, training.seed, epoch_orders(prepared)
    shape = prepared.recipe.input_size, prepared.recipe.input_size
    mixup, augmentations = mixing_of(training), AugmentedEpochs(prepared)

    def fetch(epoch: int, step: int) -> Batch:
        rows = order_of(epoch)[step * size : (step + 1) * size]
        sampled = augmentations.of(epoch, step)

        def images_at(places: np.ndarray) -> torch.Tensor:
            return augmented(prepared, split.to_device(split.gather(rows[places])), sampled.chosen(places))

        mix = mix_for(mixup, seed, epoch, step, len(rows), shape)
        return Batch(split.labels[to_device(rows, split.device)], mix, images_at)

    return fetch


def gathered_scores(
    prepared: WithModel,
    model: nn.Module,
    split: str,
    views: list[View],
    on_progress: Callable[[int], None],
    group: Group,
) -> np.ndarray:
    """As `split_scores`, in every process, each of which computes complete batches of those that one would compute."""
    images, size = len(prepared.splits[split]), evaluation_batch(prepared.recipe.input_size)
    most = -(-images // (size * group.processes)) * size  # images of one process
    part = range(min(group.rank * most, images), min((group.rank + 1) * most, images))
    padded = torch.zeros(most, prepared.facts.classes)
    if part:
        found = split_scores(
            prepared, model, split, views, lambda done: on_progress(min(done * group.processes, images)), part
        )
        padded[: len(part)] = torch.from_numpy(found)
    return group.gather(padded)[:images].numpy()
