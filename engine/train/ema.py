"""A moving average of the weights, buffers too."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """Its `model` holds the average: after update t (from 1) the decay is min(decay, (1 + t) / (10 + t))."""

    def __init__(self, source: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(source).eval().requires_grad_(False)
        pairs = list(zip(self.model.state_dict().values(), source.state_dict().values(), strict=True))
        real = [pair for pair in pairs if pair[0].is_floating_point()]
        self._averages, self._values = [list(side) for side in zip(*real, strict=True)]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights that the source has now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._averages, self._values, 1 - decay)
        for average, value in self._counters:
            average.copy_(value)
