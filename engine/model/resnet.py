"""ResNet-18, -34 and -50 (He et al. 2016), as torchvision has them, and adapted to small images.

An adapted one has a 3×3, stride-1, padding-1 stem and no max-pool, so that stage 1 still sees all 28×28 pixels. The
parameter names are torchvision's, so the weights load with `strict=True` into a plain `resnet18` whose `conv1`,
`maxpool` and `fc` were replaced. ResNet-18 has a name for each of the two forms, all others are adapted by the size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from engine.contract.models.spec import is_small
from engine.model.plan import ModelPlan, Weights
from engine.model.stem import resized_kernel
from engine.model.stochastic_depth import of_resnet, skip_branches

if TYPE_CHECKING:
    from torchvision.models import ResNet

STEM = "conv1.weight"


def plain18(plan: ModelPlan) -> nn.Module:
    """torchvision's ResNet-18 with a new classifier; for 128 and 224 px."""
    return _resnet("resnet18", plan, adapted=False)


def adapted18(plan: ModelPlan) -> nn.Module:
    """ResNet-18 for images of 28 and 64 px: input float [B, 3, H, W], output logits [B, classes]."""
    return _resnet("resnet18", plan, adapted=True)


def resnet34(plan: ModelPlan) -> nn.Module:
    return _resnet("resnet34", plan, adapted=is_small(plan.size))


def resnet50(plan: ModelPlan) -> nn.Module:
    return _resnet("resnet50", plan, adapted=is_small(plan.size))


def fitted_stem(weights: Weights, plan: ModelPlan) -> Weights:
    """torchvision's weights for an adapted net."""
    return {**weights, STEM: resized_kernel(weights[STEM], 3)}


def fitted(weights: Weights, plan: ModelPlan) -> Weights:
    """torchvision's weights for images of this size."""
    return fitted_stem(weights, plan) if is_small(plan.size) else weights


def _resnet(name: str, plan: ModelPlan, *, adapted: bool) -> nn.Module:
    from torchvision import models  # a slow import, which the small net does not need

    model: ResNet = getattr(models, name)(weights=None)
    if adapted:
        model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")  # as in torchvision
        model.maxpool = nn.Identity()  # type: ignore[assignment]
    skip_branches(of_resnet(model), plan.stochastic_depth)
    model.fc = nn.Linear(model.fc.in_features, plan.classes)
    if plan.dropout:
        # Behind the pooling, which has no parameters: no key of the state dict changes its name.
        model.avgpool = nn.Sequential(model.avgpool, nn.Dropout(plan.dropout))  # type: ignore[assignment]
    return model
