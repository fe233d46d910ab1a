"""Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights that epochs end with."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class WeightMean:
    """Its `model` holds the mean of the weights that `update` was called with; equal ones at first.

    Batch statistics of averaged weights are no average of statistics: `recompute_statistics` follows each update.
    """

    def __init__(self, source: nn.Module) -> None:
        self.epochs = 0  # whose weights it is the mean of
        self._source = source
        self.model = copy.deepcopy(source).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights that the source has now; its buffers as they are."""
        self.epochs += 1
        for mean, value in zip(self.model.parameters(), self._source.parameters(), strict=True):
            mean.lerp_(value, 1 / self.epochs)  # exactly the value for the first
        for own, buffer in zip(self.model.buffers(), self._source.buffers(), strict=True):
            own.copy_(buffer)


@torch.no_grad()
def recompute_statistics(model: nn.Module, source: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Mean and variance of every BatchNorm as averages over the batches, each for as much as the others.

    As `torch.optim.swa_utils.update_bn`, but that dropout and stochastic depth are off. `source`: the model in
    training mode, but for what is frozen.
    """
    norms = _trained_norms(model, source)
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the plain average over the batches
    try:
        for images in batches:
            model(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()


def _trained_norms(model: nn.Module, source: nn.Module) -> list[_BatchNorm]:
    """Of the model: those whose counterpart in the source is in training mode."""
    pairs = zip(model.modules(), source.modules(), strict=True)
    return [own for own, other in pairs if isinstance(own, _BatchNorm) and own.track_running_stats and other.training]
