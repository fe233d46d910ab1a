"""EfficientNetV2-S (Tan & Le 2021), as torchvision has it; for small images stem and second stage have stride 1.

Its weights load with `strict=True` into torchvision's: no shape changes.
"""

from __future__ import annotations

from torch import nn

from engine.contract.models.spec import is_small
from engine.model.plan import ModelPlan, Weights
from engine.model.stem import with_resampled_stem, without_strides
from engine.model.stochastic_depth import rescale

STEM = "features.0.0"
STOCHASTIC_DEPTH = 0.2  # torchvision's
STRIDES = (STEM, "features.2.0.block.0.0")  # convolutions whose stride of 2 becomes 1


def efficientnet_v2_s(plan: ModelPlan) -> nn.Module:
    """Input float [B, 3, S, S], output logits [B, classes]."""
    from torchvision.models import efficientnet_v2_s as torchvisions

    model: nn.Module = torchvisions(weights=None, num_classes=plan.classes, dropout=plan.dropout)
    rescale(model, STOCHASTIC_DEPTH, plan.stochastic_depth)
    if is_small(plan.size):
        without_strides(model, STRIDES)
    return model


def fitted(weights: Weights, plan: ModelPlan) -> Weights:
    """torchvision's weights for images of this size."""
    return with_resampled_stem(weights, plan, f"{STEM}.weight", 2)
