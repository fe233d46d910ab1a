"""ResNet-18 (He et al. 2016), as torchvision has it, and adapted to small images.

The adapted one has a 3×3, stride-1, padding-1 stem and no max-pool, so that stage 1 still sees all 28×28 pixels. Its
parameter names are torchvision's, so its weights load with `strict=True` into a plain `resnet18` whose `conv1`,
`maxpool` and `fc` were replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from engine.model.plan import ModelPlan

if TYPE_CHECKING:
    from torchvision.models import ResNet


def plain(plan: ModelPlan) -> nn.Module:
    """torchvision's ResNet-18 with a new classifier; for 128 and 224 px."""
    model = _torchvisions()
    _replace_classifier(model, plan)
    return model


def adapted(plan: ModelPlan) -> nn.Module:
    """ResNet-18 for images of 28 and 64 px: input float [B, 3, H, W], output logits [B, classes]."""
    model = _torchvisions()
    model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")  # as in torchvision
    model.maxpool = nn.Identity()
    _replace_classifier(model, plan)
    return model


def _torchvisions() -> ResNet:
    from torchvision.models import resnet18  # a slow import, which the small net does not need

    return resnet18(weights=None)


def _replace_classifier(model: ResNet, plan: ModelPlan) -> None:
    model.fc = nn.Linear(512, plan.classes)
    if plan.dropout:
        # Behind the pooling, which has no parameters: no key of the state dict changes its name.
        model.avgpool = nn.Sequential(model.avgpool, nn.Dropout(plan.dropout))
