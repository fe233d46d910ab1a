"""MixUp (Zhang et al. 2018): one λ ~ Beta(α, α) per batch, the batch mixed with a permutation of itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from engine.randomness import generator


@dataclass(frozen=True)
class MixUp:
    alpha: float  # 0 is off
    until: int | None  # the last epoch with MixUp, from 1; None is all

    def is_on(self, epoch: int) -> bool:
        """`epoch` counts from 0."""
        return self.alpha > 0 and (self.until is None or epoch < self.until)


@dataclass(frozen=True)
class Mix:
    """One batch's mixture: `weight` of each image, and 1 − weight of its partner."""

    weight: float  # λ
    partners: np.ndarray  # int64 [B], a permutation


def sample_mix(alpha: float, batch: int, rng: np.random.Generator) -> Mix:
    """λ by NumPy: torch's Beta is wrong at α = 0.002."""
    return Mix(float(rng.beta(alpha, alpha)), rng.permutation(batch))


def mix_for(mixup: MixUp, seed: int, epoch: int, step: int, batch: int) -> Mix | None:
    """The mixture of a step; None where MixUp is off."""
    return sample_mix(mixup.alpha, batch, generator(seed, "mixup", epoch, step)) if mixup.is_on(epoch) else None


def mix_images(images: torch.Tensor, mix: Mix) -> torch.Tensor:
    """λ·x + (1 − λ)·x[partners], for float images [B, C, H, W]."""
    partners = torch.from_numpy(mix.partners).to(images.device)
    return images.mul(mix.weight).add_(images[partners], alpha=1 - mix.weight)
