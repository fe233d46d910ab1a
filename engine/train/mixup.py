"""MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019): a batch mixed with a permutation of itself.

One λ ~ Beta(α, α) per batch. MixUp adds the images, CutMix puts a rectangle of the partner's into each. A batch has one
of the two; where both are on, it is chosen with equal probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from engine.device import to_device
from engine.randomness import generator


@dataclass(frozen=True)
class MixUp:
    alpha: float  # 0 is off
    until: int | None  # the last epoch with MixUp or CutMix, from 1; None is all
    cutmix_alpha: float = 0.0  # 0 is off

    def is_on(self, epoch: int) -> bool:
        """`epoch` counts from 0."""
        return (self.alpha > 0 or self.cutmix_alpha > 0) and (self.until is None or epoch < self.until)


@dataclass(frozen=True)
class Box:
    """Pixels of an image, the ends not among them."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def pixels(self) -> tuple[Any, ...]:
        """As an index of images [..., H, W]."""
        return ..., slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def area(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)


@dataclass(frozen=True)
class Mix:
    """One batch's mixture: `weight` of each image, and 1 − weight of its partner."""

    weight: float  # λ; of CutMix what is left of the image's area
    partners: np.ndarray | torch.Tensor  # int64 [B], a permutation
    box: Box | None = None  # of CutMix: what is the partner's; None is MixUp

    def on(self, device: torch.device) -> Mix:
        """With the partners there, where they are used for images and for labels."""
        return replace(self, partners=to_device(self.partners, device))


def sample_mix(alpha: float, batch: int, rng: np.random.Generator) -> Mix:
    """λ by NumPy: torch's Beta is wrong at α = 0.002."""
    return Mix(float(rng.beta(alpha, alpha)), rng.permutation(batch))


def sample_cutmix(alpha: float, batch: int, shape: tuple[int, int], rng: np.random.Generator) -> Mix:
    """A rectangle with the aspect of the image and an area of 1 − λ, around any pixel, cut off at the edges.

    shape: pixels, height and width.
    """
    weight, partners = float(rng.beta(alpha, alpha)), rng.permutation(batch)
    reach = 0.5 * math.sqrt(1 - weight)
    ends = []
    for side, fraction in zip(shape, rng.random(2), strict=True):
        middle, half = int(fraction * side), int(reach * side)
        ends += [max(0, middle - half), min(side, middle + half)]
    box = Box(*ends)
    return Mix(1 - box.area / (shape[0] * shape[1]), partners, box)


def mix_for(mixup: MixUp, seed: int, epoch: int, step: int, batch: int, shape: tuple[int, int] = (1, 1)) -> Mix | None:
    """The mixture of a step; None where it has none. shape: of the images, height and width."""
    if not mixup.is_on(epoch):
        return None
    if mixup.cutmix_alpha > 0:
        rng = generator(seed, "cutmix", epoch, step)
        chosen = rng.random() < 0.5
        if chosen or mixup.alpha == 0:
            return sample_cutmix(mixup.cutmix_alpha, batch, shape, rng)
    return sample_mix(mixup.alpha, batch, generator(seed, "mixup", epoch, step))


def mix_images(images: torch.Tensor, mix: Mix) -> torch.Tensor:
    """λ·x + (1 − λ)·x[partners], or x with the box of x[partners], for float images [B, C, H, W]."""
    partners = to_device(mix.partners, images.device)
    if mix.box is None:
        return _blended(images, images[partners], mix.weight)
    return _pasted(images, images[mix.box.pixels][partners], mix.box)


def mix_with(images: torch.Tensor, partners: torch.Tensor, mix: Mix) -> torch.Tensor:
    """The same for some images of a batch, float [M, C, H, W], and the partner of each."""
    if mix.box is None:
        return _blended(images, partners, mix.weight)
    return _pasted(images, partners[mix.box.pixels], mix.box)


def _blended(images: torch.Tensor, partners: torch.Tensor, weight: float) -> torch.Tensor:
    return images.mul(weight).add_(partners, alpha=1 - weight)


def _pasted(images: torch.Tensor, pixels: torch.Tensor, box: Box) -> torch.Tensor:
    mixed = images.clone()
    mixed[box.pixels] = pixels
    return mixed
