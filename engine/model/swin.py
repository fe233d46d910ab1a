"""Swin-T (Liu et al. 2021), as torchvision has it, with windows that fill their maps; for small images with a stride-1
stem.

Windows of 7×7 patches fill the maps of 224 px images. Other maps would be padded, and the padding attended to: there
the windows are of the side of 4 to 8 that divides theirs. What is learned of two patches' distance holds for the same
distance in other windows. Its weights load with `strict=True` into torchvision's whose stem and windows were replaced.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from engine.contract.models.spec import is_small, window_size
from engine.model.convnext import PATCH, stride_1_stem
from engine.model.plan import ModelPlan, Weights
from engine.model.stem import resampled_kernel
from engine.model.stochastic_depth import rescale

STEM = "features.0.0.weight"
STOCHASTIC_DEPTH = 0.2  # torchvision's
STAGES = (1, 3, 5, 7)  # of the features; between them maps are halved
BIAS = re.compile(r"features\.(\d)\.\d+\.attn\.relative_position_bias_table")
INDEX = ".relative_position_index"  # follows from the window's size


def swin_t(plan: ModelPlan) -> nn.Module:
    """Input float [B, 3, S, S], output logits [B, classes]."""
    from torchvision.models import swin_t as torchvisions

    model = torchvisions(weights=None, num_classes=plan.classes)
    rescale(model, STOCHASTIC_DEPTH, plan.stochastic_depth)
    if is_small(plan.size):
        model.features[0][0] = stride_1_stem(model.features[0][0].out_channels)
    windows = windows_for(plan.size)
    for stage in STAGES:
        for block in model.features[stage]:
            _set_window(block.attn, windows[stage])
    if plan.dropout:
        model.flatten = nn.Sequential(model.flatten, nn.Dropout(plan.dropout))
    return model


def _set_window(attention: Any, side: int) -> None:
    """Of torchvision's ShiftedWindowAttention; every second one is shifted by half a window."""
    before = attention.window_size
    if before == [side, side]:
        return
    attention.window_size = [side, side]
    attention.shift_size = [side // 2 if shift else 0 for shift in attention.shift_size]
    attention.define_relative_position_bias_table()
    attention.define_relative_position_index()


def windows_for(size: int) -> dict[int, int]:
    """The side of the windows of each stage, for images of this many pixels per side."""
    side = size if is_small(size) else size // PATCH
    windows = {}
    for stage in STAGES:
        windows[stage] = window_size(side)
        side = (side + 1) // 2  # an odd map is padded
    return windows


def fitted(weights: Weights, plan: ModelPlan) -> Weights:
    """torchvision's weights for images of this size."""
    windows = windows_for(plan.size)
    if not is_small(plan.size) and set(windows.values()) == {7}:
        return weights
    found = {name: tensor for name, tensor in weights.items() if not name.endswith(INDEX)}
    if is_small(plan.size):
        found[STEM] = resampled_kernel(weights[STEM], 3, PATCH)
    for name, tensor in weights.items():
        if match := BIAS.fullmatch(name):
            found[name] = fitted_bias(tensor, windows[int(match[1])])
    return found


def fitted_bias(table: torch.Tensor, window: int) -> torch.Tensor:
    """Relative position bias [(2n − 1)², heads] as [(2·window − 1)², heads].

    A distance that windows of n×n have keeps its bias; a longer one gets that of the longest in its direction.
    """
    side = int(table.shape[0] ** 0.5)
    middle = side // 2
    offsets = (torch.arange(1 - window, window) + middle).clamp(0, side - 1)
    return table.unflatten(0, (side, side))[offsets][:, offsets].flatten(0, 1)
