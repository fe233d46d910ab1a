"""One training step by several processes: each has a part of the batch, and their gradients are added up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from engine.contract.recipe.steps import SMALLEST_BATCH
from engine.device import to_device
from engine.randomness import seed_step
from engine.train.mixup import Mix, mix_with
from engine.train.state import TrainingState
from engine.train.step import TrainingStep, parts_of, truths_of


class Group(Protocol):
    """The processes, of which this is number `rank`."""

    rank: int
    processes: int

    def add_up(self, values: torch.Tensor) -> None:
        """Make it the sum over the processes, in each of them the same bits."""


@dataclass(frozen=True)
class Shard:
    """What one process has of a batch: its images from `start` to `end`."""

    start: int
    end: int
    counts: bool = True  # False: there are too few for all, and it computes what others do too, for nothing


def shard_of(images: int, processes: int, rank: int) -> Shard:
    """In the order of the batch, at least two images each: batch normalisation has nothing to average in one."""
    working = max(1, min(processes, images // SMALLEST_BATCH))
    if rank >= working:
        return Shard(0, min(images, SMALLEST_BATCH), counts=False)
    return Shard(images * rank // working, images * (rank + 1) // working)


@dataclass(frozen=True)
class Batch:
    """A batch of which each process makes the images that it needs."""

    labels: torch.Tensor  # of all its images, on the device
    mix: Mix | None
    images_at: Callable[[np.ndarray], torch.Tensor]  # positions in it, int64 [M] → float [M, 3, H, W], normalised

    def images(self, shard: Shard) -> torch.Tensor:
        """Those of a shard, mixed with their partners, wherever in the batch these are."""
        own = np.arange(shard.start, shard.end)
        if self.mix is None:
            return self.images_at(own)
        needed, places = np.unique(np.concatenate([own, self.mix.partners[own]]), return_inverse=True)
        made, at = self.images_at(needed), torch.from_numpy(places)
        first, second = to_device(at, made.device).split(len(own))
        return mix_with(made[first], made[second], self.mix)


@dataclass(frozen=True)
class ShardedStep:
    """Every process calls it with the same state: afterwards the state is the same in each."""

    step: TrainingStep
    fetch: Callable[[int, int], Batch]  # (epoch, step)
    seed: int
    group: Group

    def __call__(self, state: TrainingState, lr: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Change the weights by the batch of the state's position; its mean loss and number of correct images."""
        batch, group = self.fetch(state.epoch, state.step), self.group
        shard = shard_of(len(batch.labels), group.processes, group.rank)
        images, truths = batch.images(shard), truths_of(batch.labels, batch.mix)
        seed_step(self.seed, state.epoch, state.step, group.rank)
        self.step.begin(state, lr)
        own = [(weight if shard.counts else 0.0, labels[shard.start : shard.end]) for weight, labels in truths]
        results = []
        for part in parts_of(len(images), self.step.part):
            labels = [(weight, values[part]) for weight, values in own]
            results.append(torch.stack(self.step.accumulate(state, images[part], labels, truths)).detach())
        fraction = (shard.end - shard.start) / len(batch.labels) if shard.counts else 0.0
        loss, n_correct = self._add_up(state.model, torch.stack(results).sum(dim=0), fraction)
        self.step.update(state)
        return loss, n_correct

    @torch.no_grad()
    def _add_up(self, model: nn.Module, results: torch.Tensor, fraction: float) -> torch.Tensor:
        """The gradients are added up, batch statistics averaged by images, all in one exchange.

        results: [2], loss and correct images of this process; returns those of the batch.
        """
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        statistics = _statistics(model)
        exchanged = [*gradients, *(value * fraction for value in statistics), results]
        flat = torch.cat([value.reshape(-1).float() for value in exchanged])
        self.group.add_up(flat)
        targets = [*gradients, *statistics]
        for target, value in zip(targets, flat[: -len(results)].split([one.numel() for one in targets]), strict=True):
            target.copy_(value.view(target.shape))
        return flat[-len(results) :]


def _statistics(model: nn.Module) -> list[torch.Tensor]:
    """Of the batch normalisation that is in training mode, which each process took from its own images."""
    norms = (module for module in model.modules() if isinstance(module, _BatchNorm) and module.training)
    return [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
