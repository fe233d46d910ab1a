"""Augmentation as batched tensor work, with separate parameters for every image.

One resampling does flip, rotation, shift and scale together; then brightness, contrast and saturation. (Per-sample
torchvision transforms are more than an order slower, and its batched ones sample once per batch.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # ITU-R BT.601 luma, rounded as torchvision rounds it


@dataclass(frozen=True)
class Augmentation:
    """How far each image may be changed. All zero is the identity."""

    hflip: float = 0.0  # probability
    vflip: float = 0.0  # probability
    rotation: float = 0.0  # degrees either way
    shift: float = 0.0  # fraction of the side, either way
    scale: float = 0.0  # factor 1 ± this
    brightness: float = 0.0  # factor 1 ± this
    contrast: float = 0.0  # factor 1 ± this
    saturation: float = 0.0  # factor 1 ± this

    @property
    def resamples(self) -> bool:
        return bool(self.rotation or self.shift or self.scale)


@dataclass(frozen=True)
class SampledAugmentation:
    """One batch's parameters, one row per image."""

    flips: np.ndarray  # bool [B, 2]: left-right, up-down
    affine: np.ndarray  # float32 [B, 2, 3]: from output to input positions, both from -1 to 1
    colour: np.ndarray  # float32 [B, 3]: factors of brightness, contrast, saturation


def sample(augmentation: Augmentation, batch: int, generator: np.random.Generator) -> SampledAugmentation:
    """Sample the parameters of a batch; always the same number of values, so that no setting shifts another's."""
    uniform = generator.random((batch, 9), dtype=np.float64)
    signed = 2 * uniform - 1
    flips = uniform[:, :2] < (augmentation.hflip, augmentation.vflip)
    angle = np.radians(signed[:, 2] * augmentation.rotation)
    zoom = 1 / (1 + signed[:, 3] * augmentation.scale)
    mirror = 1 - 2 * flips.astype(np.float64)
    affine = np.empty((batch, 2, 3), dtype=np.float32)
    affine[:, 0, 0] = np.cos(angle) * zoom * mirror[:, 0]
    affine[:, 0, 1] = -np.sin(angle) * zoom * mirror[:, 1]
    affine[:, 1, 0] = np.sin(angle) * zoom * mirror[:, 0]
    affine[:, 1, 1] = np.cos(angle) * zoom * mirror[:, 1]
    affine[:, :, 2] = signed[:, 4:6] * augmentation.shift * 2  # the side is 2 long
    strengths = (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    colour = 1 + signed[:, 6:9] * strengths
    return SampledAugmentation(flips, affine, colour.astype(np.float32))


def augment(images: torch.Tensor, augmentation: Augmentation, sampled: SampledAugmentation) -> torch.Tensor:
    """Images float [B, C, H, W] in 0 … 1, changed as `sampled`; the same shape, type and range."""
    given = images
    if augmentation.resamples:
        grid = _grid(torch.from_numpy(sampled.affine).to(images.device), images.shape[-2], images.shape[-1])
        images = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    else:
        images = _flip(images, sampled.flips)
    if augmentation.brightness or augmentation.contrast or augmentation.saturation:
        own = images if images is not given else images.clone()
        images = _colour(own, augmentation, torch.from_numpy(sampled.colour).to(images.device))
    return images


def _grid(affine: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Where every output pixel is taken from: [B, H, W, 2], as `F.affine_grid`, which takes ten times as long."""
    across, down = (
        torch.arange(1 - side, side, 2, dtype=affine.dtype, device=affine.device).div_(side) for side in (width, height)
    )
    by_column = affine[:, :, None, 0:1] * across  # [B, 2, 1, W]
    by_row = affine[:, :, 1:2] * down + affine[:, :, 2:3]  # [B, 2, H]
    return (by_column + by_row[..., None]).permute(0, 2, 3, 1)


def _flip(images: torch.Tensor, flips: np.ndarray) -> torch.Tensor:
    """Exact flips, without resampling."""
    for column, dimension in ((0, -1), (1, -2)):
        if flips[:, column].any():
            chosen = torch.from_numpy(flips[:, column]).to(images.device)
            images = torch.where(chosen[:, None, None, None], images.flip(dimension), images)
    return images


def _colour(images: torch.Tensor, augmentation: Augmentation, factors: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast around the image's mean grey, saturation around each pixel's grey; clipped to 0 … 1.

    In place: a fresh tensor for every step would cost as much again as its arithmetic.
    """
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)
    if augmentation.brightness:
        images.mul_(brightness).clamp_(0, 1)
    if augmentation.contrast:
        mean = _grey(images.mean(dim=(2, 3), keepdim=True))  # the mean of the greys is the grey of the means
        images.mul_(contrast).add_(mean * (1 - contrast)).clamp_(0, 1)
    if augmentation.saturation and images.shape[1] == 3:
        grey = _grey(images).mul_(1 - saturation)
        images.mul_(saturation).add_(grey).clamp_(0, 1)
    return images


def _grey(images: torch.Tensor) -> torch.Tensor:
    """The luma, [B, 1, H, W], in new memory."""
    if images.shape[1] == 1:
        return images.clone()
    return torch.matmul(_grey_weights(images.device), images.flatten(2)).view(-1, 1, *images.shape[2:])


@cache
def _grey_weights(device: torch.device) -> torch.Tensor:
    """Copied to a device once, not at every batch."""
    return torch.tensor(GREY_WEIGHTS, device=device)


def unit_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 to float in 0 … 1."""
    return images.float().div_(255)
