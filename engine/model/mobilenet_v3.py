"""MobileNetV3-Large (Howard et al. 2019), as torchvision has it; for small images stem and second stage have stride 1.

Its weights load with `strict=True` into torchvision's: no shape changes.
"""

from __future__ import annotations

from torch import nn

from engine.contract.models.spec import is_small
from engine.model.plan import ModelPlan, Weights
from engine.model.stem import with_resampled_stem, without_strides
from engine.model.stochastic_depth import of_mobilenet, skip_branches

STEM = "features.0.0"
STRIDES = (STEM, "features.2.block.1.0")  # convolutions whose stride of 2 becomes 1


def large(plan: ModelPlan) -> nn.Module:
    """Input float [B, 3, S, S], output logits [B, classes]."""
    from torchvision.models import mobilenet_v3_large

    model: nn.Module = mobilenet_v3_large(weights=None, num_classes=plan.classes, dropout=plan.dropout)
    skip_branches(of_mobilenet(model), plan.stochastic_depth)
    if is_small(plan.size):
        without_strides(model, STRIDES)
    return model


def fitted(weights: Weights, plan: ModelPlan) -> Weights:
    """torchvision's weights for images of this size."""
    return with_resampled_stem(weights, plan, f"{STEM}.weight", 2)
