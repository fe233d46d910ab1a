"""A kernel of published weights made smaller, for a model whose images are."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F


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
