"""The first kernel of published weights, made for images of other sizes. Each a pure function of the kernel."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from engine.contract.models.spec import is_small
from engine.model.plan import ModelPlan, Weights

CUBIC = -0.75  # the parameter of torch's bicubic interpolation


def resized_kernel(kernel: torch.Tensor, size: int) -> torch.Tensor:
    """Kernels [O, I, n, n] as [O, I, size, size], size ≤ n, that see in images what the large see in enlarged ones.

    With B the bicubic enlarging of a patch from size×size to n×n, the small kernel is Bᵀ applied to the large one, so
    that ⟨Bᵀw, x⟩ = ⟨w, Bx⟩ for every patch x: its response is exactly that of the large one to the enlarged patch (the
    criterion of Beyer et al., FlexiViT, 2023, for which this is the solution). Bᵀ is bicubic interpolation
    backwards: antialiased, as every weight of the large kernel goes into the small one, and with the sum of the
    weights kept, and so the scale of the responses.
    """
    large = kernel.shape[-1]
    enlarging = _enlarging(size, large).to(kernel.device)
    small = kernel.double().flatten(-2) @ enlarging
    return small.unflatten(-1, (size, size)).to(kernel.dtype)


@cache
def _enlarging(small: int, large: int) -> torch.Tensor:
    """float64 [large², small²]: B, its columns the enlarged patches of one bright pixel each."""
    pixels = torch.eye(small * small, dtype=torch.float64).view(-1, 1, small, small)
    return F.interpolate(pixels, size=(large, large), mode="bicubic", align_corners=False).flatten(1).T


def resampled_kernel(kernel: torch.Tensor, size: int, factor: float) -> torch.Tensor:
    """Kernels [O, I, n, n] as [O, I, size, size] for images that the published model would see `factor` times as large.

    As `resized_kernel`, but for a kernel whose own size does not say how much larger the images were: one of a stride
    that is reduced by `factor`. Its n taps lie 1/factor pixels apart, around the middle of size×size pixels.
    """
    taps = _taps(kernel.shape[-1], size, factor).to(kernel.device)
    return torch.einsum("oiyx,ya,xb->oiab", kernel.double(), taps, taps).to(kernel.dtype)


@cache
def _taps(large: int, small: int, factor: float) -> torch.Tensor:
    """float64 [large, small]: what each tap takes of each pixel; beyond the edge it takes the pixel at it."""
    weights = torch.zeros(large, small, dtype=torch.float64)
    for tap in range(large):
        at = (tap - (large - 1) / 2) / factor + (small - 1) / 2
        first = int(at // 1) - 1
        for pixel in range(first, first + 4):
            weights[tap, min(max(pixel, 0), small - 1)] += _cubic(abs(at - pixel))
    return weights


def _cubic(distance: float) -> float:
    """Keys' kernel of cubic convolution (1981)."""
    if distance <= 1:
        return (CUBIC + 2) * distance**3 - (CUBIC + 3) * distance**2 + 1
    return CUBIC * (distance**3 - 5 * distance**2 + 8 * distance - 4) if distance < 2 else 0.0


def with_resampled_stem(weights: Weights, plan: ModelPlan, name: str, factor: float) -> Weights:
    """Published weights for images of this size: of small ones, the first kernel as 3×3 at a smaller stride."""
    return {**weights, name: resampled_kernel(weights[name], 3, factor)} if is_small(plan.size) else weights


def without_strides(model: nn.Module, names: tuple[str, ...]) -> None:
    """Give the convolutions of these names a stride of 1, all else as it is."""
    for name in names:
        convolution = model.get_submodule(name)
        assert isinstance(convolution, nn.Conv2d) and convolution.stride == (2, 2), name
        convolution.stride = (1, 1)
