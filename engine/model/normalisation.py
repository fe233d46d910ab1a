"""The input normalisation in front of every model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


class Normalisation(nn.Module):
    """From float [B, C, H, W] in 0 … 1 to what a model takes: its size, three channels, zero mean, unit deviation."""

    mean: torch.Tensor  # [C, 1, 1]
    std: torch.Tensor  # [C, 1, 1]

    def __init__(self, mean: Sequence[float], std: Sequence[float], size: int | None = None) -> None:
        """`size`: pixels per side that images are enlarged to; None leaves them."""
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Float [B, C, H, W] to float [B, 3, S, S]; grey is expanded. Enlarged by bicubic interpolation."""
        normal = (images - self.mean) / self.std
        if self.size is not None:
            normal = F.interpolate(normal, size=(self.size, self.size), mode="bicubic", align_corners=False)
        return normal.expand(-1, 3, -1, -1) if normal.shape[1] == 1 else normal
