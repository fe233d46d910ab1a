"""A small convolutional net of about 130,000 parameters, for laptops and tests."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from engine.model.plan import ModelPlan

WIDTHS = (24, 48, 80)  # channels of the three stages


def mini_cnn(plan: ModelPlan) -> nn.Module:
    """Three stages of two 3×3 convolutions, halved between, then the mean: [B, 3, H, W] to logits [B, classes]."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = 3
    for stage, width in enumerate(WIDTHS, start=1):
        layers[f"stage{stage}a"] = _convolution(before, width)
        layers[f"stage{stage}b"] = _convolution(width, width)
        if stage < len(WIDTHS):
            layers[f"pool{stage}"] = nn.MaxPool2d(2)
        before = width
    layers["mean"] = nn.AdaptiveAvgPool2d(1)
    layers["flat"] = nn.Flatten()
    if plan.dropout:
        layers["dropout"] = nn.Dropout(plan.dropout)
    layers["fc"] = nn.Linear(before, plan.classes)
    return nn.Sequential(layers)


def _convolution(before: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )
