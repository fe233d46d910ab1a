"""Vision transformers (Dosovitskiy et al. 2021) as torchvision builds them, with patches that fit the images.

The weights load with `strict=True` into torchvision's `VisionTransformer` of that image and patch size.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

from engine.contract.models.spec import patch_size
from engine.model.plan import ModelPlan, Weights
from engine.model.stem import resized_kernel
from engine.model.stochastic_depth import of_vit, skip_branches

PATCHES, POSITIONS = "conv_proj.weight", "encoder.pos_embedding"


def vit_s_16(plan: ModelPlan) -> nn.Module:
    """384 wide, 6 heads, as in Touvron et al. 2021: torchvision has the parts, but no such model."""
    return _vit(plan, width=384, heads=6)


def vit_b_16(plan: ModelPlan) -> nn.Module:
    """768 wide, 12 heads."""
    return _vit(plan, width=768, heads=12)


def _vit(plan: ModelPlan, width: int, heads: int) -> nn.Module:
    """Input float [B, 3, S, S], output logits [B, classes]."""
    from torchvision.models import VisionTransformer

    model = VisionTransformer(
        image_size=plan.size,
        patch_size=_patch(plan),
        num_layers=12,
        num_heads=heads,
        hidden_dim=width,
        mlp_dim=4 * width,
        num_classes=plan.classes,
    )
    skip_branches(of_vit(model), plan.stochastic_depth)
    if plan.dropout:
        model.heads = nn.Sequential(OrderedDict(dropout=nn.Dropout(plan.dropout), head=model.heads.head))
    return model


def _patch(plan: ModelPlan) -> int:
    found = patch_size(plan.size)
    assert found is not None, plan.size  # the recipe was refused
    return found


def fitted(weights: Weights, plan: ModelPlan) -> Weights:
    """torchvision's weights for images of this size."""
    patch = _patch(plan)
    if patch == weights[PATCHES].shape[-1] and (plan.size // patch) ** 2 + 1 == weights[POSITIONS].shape[1]:
        return weights
    return {
        **weights,
        PATCHES: resized_kernel(weights[PATCHES], patch),
        POSITIONS: resampled_positions(weights[POSITIONS], plan.size // patch),
    }


def resampled_positions(positions: torch.Tensor, grid: int) -> torch.Tensor:
    """Position embedding [1, 1 + n², D] as [1, 1 + grid², D], bicubic; that of the class token stays."""
    own, patches = positions[:, :1], positions[:, 1:]
    side = int(patches.shape[1] ** 0.5)
    if side == grid:
        return positions
    maps = patches.double().unflatten(1, (side, side)).permute(0, 3, 1, 2)
    resampled = F.interpolate(maps, size=(grid, grid), mode="bicubic", align_corners=False, antialias=grid < side)
    return torch.cat([own, resampled.permute(0, 2, 3, 1).flatten(1, 2).to(positions.dtype)], dim=1)
