"""ConvNeXt-Tiny (Liu et al. 2022), as torchvision has it; for small images with a 3×3, stride-1, padding-1 stem.

The published stem cuts images into patches of 4×4 pixels; what it sees in one of an image four times as large, the 3×3
stem sees around a pixel. Its weights load with `strict=True` into torchvision's whose `features.0.0` was replaced.
"""

from __future__ import annotations

from torch import nn

from engine.contract.models.spec import is_small
from engine.model.plan import ModelPlan, Weights
from engine.model.stem import with_resampled_stem
from engine.model.stochastic_depth import rescale

STEM = "features.0.0.weight"
PATCH = 4  # pixels per side
STOCHASTIC_DEPTH = 0.1  # torchvision's


def convnext_tiny(plan: ModelPlan) -> nn.Module:
    """Input float [B, 3, S, S], output logits [B, classes]."""
    from torchvision.models import convnext_tiny as torchvisions

    model = torchvisions(weights=None, num_classes=plan.classes)
    rescale(model, STOCHASTIC_DEPTH, plan.stochastic_depth)
    if is_small(plan.size):
        model.features[0][0] = stride_1_stem(model.features[0][0].out_channels)
    if plan.dropout:
        model.classifier[1] = nn.Sequential(model.classifier[1], nn.Dropout(plan.dropout))
    return model


def stride_1_stem(width: int) -> nn.Conv2d:
    """In the place of 4×4 patches, initialised as they are."""
    stem = nn.Conv2d(3, width, kernel_size=3, stride=1, padding=1)
    nn.init.trunc_normal_(stem.weight, std=0.02)
    assert stem.bias is not None
    nn.init.zeros_(stem.bias)
    return stem


def fitted(weights: Weights, plan: ModelPlan) -> Weights:
    """torchvision's weights for images of this size."""
    return with_resampled_stem(weights, plan, STEM, PATCH)
