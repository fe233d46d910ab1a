"""Brightness, contrast and saturation of a batch, a factor for each image: in place, clipped to 0 … 1.

images: float [B, C, H, W] in 0 … 1; factors: [B, 1, 1, 1]. A fresh tensor for every step would cost as much again as
its arithmetic.
"""

from __future__ import annotations

import torch

from engine.device import constant

GREY_WEIGHTS = (0.2989, 0.587, 0.114)  # ITU-R BT.601 luma, rounded as torchvision rounds it


def adjusted_brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return images.mul_(factor).clamp_(0, 1)


def adjusted_contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Around the image's mean grey, which is the grey of the channels' means."""
    mean = _grey(images.mean(dim=(2, 3), keepdim=True))
    return images.mul_(factor).add_(mean * (1 - factor)).clamp_(0, 1)


def adjusted_saturation(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Around each pixel's grey; grey images have none."""
    if images.shape[1] != 3:
        return images
    grey = _grey(images).mul_(1 - factor)
    return images.mul_(factor).add_(grey).clamp_(0, 1)


def _grey(images: torch.Tensor) -> torch.Tensor:
    """The luma, [B, 1, H, W], in new memory."""
    if images.shape[1] == 1:
        return images.clone()
    return torch.matmul(constant(GREY_WEIGHTS, images.device), images.flatten(2)).view(-1, 1, *images.shape[2:])
