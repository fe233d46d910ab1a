"""The input normalisation in front of every model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Normalisation(nn.Module):
    """From float [B, C, H, W] in 0 … 1 to what a model takes: three channels, zero mean, unit deviation."""

    mean: torch.Tensor  # [C, 1, 1]
    std: torch.Tensor  # [C, 1, 1]

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Float [B, C, H, W] to float [B, 3, H, W]; grey is expanded."""
        normal = (images - self.mean) / self.std
        return normal.expand(-1, 3, -1, -1) if normal.shape[1] == 1 else normal
