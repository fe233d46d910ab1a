"""TrivialAugment (Müller & Hutter 2021) for batches: one operation per image, each at its own strength.

The operations and ranges are those of torchvision's `TrivialAugmentWide`, with three differences: strengths are
continuous, shifts are up to 45 % of the side (32 px are more than a small image has), and pixels that come in from
outside repeat the edge. Those that move pixels are a matrix, which joins the one of the other augmentation: there is
one resampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from engine.data.colour import adjusted_brightness, adjusted_contrast, adjusted_saturation
from engine.device import constant, to_device

SHEAR, SHIFT, ROTATION, COLOUR, BITS = 0.99, 0.45, 135.0, 0.99, 6  # the widest; shift as a fraction of the side
MOVING = ("shear_x", "shear_y", "shift_x", "shift_y", "rotate")
COLOURING = ("brightness", "saturation", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize")
OPERATIONS = ("identity", *MOVING, *COLOURING)
NUMBER = {name: number for number, name in enumerate(OPERATIONS)}
BLUR = tuple((5 if n == 4 else 1) / 13 for n in range(9))  # 3 x 3, of Pillow's smoothing
DRAWS = 3  # numbers per image


@dataclass(frozen=True)
class SampledOperations:
    """One batch's operations, one per image."""

    operation: np.ndarray  # int64 [B], of OPERATIONS
    strength: np.ndarray  # float64 [B], from -1 to 1, of the operation's range; those without a direction use its size

    def chosen(self, rows: np.ndarray | slice) -> SampledOperations:
        return SampledOperations(self.operation[rows], self.strength[rows])


def sample_operations(strength: float, uniform: np.ndarray) -> SampledOperations:
    """uniform: float64 [B, 3] in 0 … 1."""
    operation = (uniform[:, 0] * len(OPERATIONS)).astype(np.int64)
    sign = np.where(uniform[:, 2] < 0.5, -1.0, 1.0)
    return SampledOperations(operation, sign * uniform[:, 1] * strength)


def matrices(sampled: SampledOperations) -> np.ndarray:
    """From output to input positions, both from -1 to 1: float64 [B, 2, 3]; the identity where no pixel moves."""
    found = np.zeros((len(sampled.operation), 2, 3))
    found[:, 0, 0] = found[:, 1, 1] = 1

    def amount(name: str, widest: float) -> np.ndarray:
        return np.where(sampled.operation == NUMBER[name], sampled.strength * widest, 0.0)

    along_x, along_y = amount("shear_x", SHEAR), amount("shear_y", SHEAR)
    found[:, 0, 1] = found[:, 0, 2] = along_x  # about the first pixel's corner, at -1
    found[:, 1, 0] = found[:, 1, 2] = along_y
    found[:, 0, 2] -= amount("shift_x", 2 * SHIFT)  # the side is 2 long
    found[:, 1, 2] -= amount("shift_y", 2 * SHIFT)
    angle = np.radians(amount("rotate", ROTATION))
    turned = sampled.operation == NUMBER["rotate"]
    found[turned, 0, 0] = found[turned, 1, 1] = np.cos(angle)[turned]
    found[turned, 0, 1], found[turned, 1, 0] = -np.sin(angle)[turned], np.sin(angle)[turned]
    return found


def apply_operations(images: torch.Tensor, sampled: SampledOperations) -> torch.Tensor:
    """Those that change colours, in place; images float [B, C, H, W] in 0 … 1."""
    sorted_ = np.argsort(sampled.operation, kind="stable")  # one copy to the device, of which each has a part
    rows = to_device(sorted_, images.device)
    strength = to_device(sampled.strength[sorted_].astype(np.float32), images.device)
    for name, function in FUNCTIONS.items():
        start, end = np.searchsorted(sampled.operation[sorted_], [NUMBER[name], NUMBER[name] + 1])
        if start < end:
            own = rows[start:end]
            images[own] = function(images[own], strength[start:end, None, None, None])
    return images


# ---- the operations: new images [M, C, H, W], strength [M, 1, 1, 1] from -1 to 1 -------------------------------------


def _sharpness(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Away from or towards a blur; the edge stays."""
    if min(images.shape[-2:]) <= 2:
        return images
    channels = images.shape[1]
    kernel = constant(BLUR, images.device).view(1, 1, 3, 3)
    blurred = F.conv2d(images, kernel.expand(channels, 1, 3, 3), groups=channels)
    inner = images[..., 1:-1, 1:-1]
    inner.add_(blurred.sub_(inner).mul_(-strength * COLOUR))
    return images.clamp_(0, 1)


def _posterize(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """The highest 8 to 2 bits of each byte."""
    dropped = strength.abs().mul(BITS).round_()
    step = torch.exp2(dropped)
    return images.mul(255).round_().div_(step).floor_().mul_(step).div_(255)


def _solarize(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """What is brighter than a threshold, inverted; nothing is at strength 0."""
    return torch.where(images > 1 - strength.abs(), 1 - images, images)


def _autocontrast(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Each channel stretched to 0 … 1; one of a single value stays."""
    low, high = images.amin(dim=(-2, -1), keepdim=True), images.amax(dim=(-2, -1), keepdim=True)
    width = high - low
    stretched = (images - low) / torch.where(width > 0, width, 1.0)
    return torch.where(width > 0, stretched, images).clamp_(0, 1)


def _equalize(images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Each channel's histogram made even, as Pillow does it with bytes."""
    values = images.mul(255).round_().flatten(2).long()  # [M, C, P]
    counts = values.new_zeros(*values.shape[:2], 256).scatter_add_(-1, values, torch.ones_like(values))
    darker = counts.cumsum(dim=-1) - counts  # pixels below each level
    brightest = counts.gather(-1, values.amax(dim=-1, keepdim=True))
    step = (values.shape[-1] - brightest) // 255
    table = ((darker + step // 2) // step.clamp(min=1)).clamp_(0, 255)
    even = torch.where(step > 0, table.gather(-1, values), values)
    return even.to(images.dtype).div_(255).view_as(images)


FUNCTIONS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "brightness": lambda images, strength: adjusted_brightness(images, 1 + strength * COLOUR),
    "saturation": lambda images, strength: adjusted_saturation(images, 1 + strength * COLOUR),
    "contrast": lambda images, strength: adjusted_contrast(images, 1 + strength * COLOUR),
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
