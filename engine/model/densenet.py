"""DenseNet-121 (Huang et al. 2017), as torchvision has it; for small images with a 3×3, stride-1 stem and no max-pool.

Its weights load with `strict=True` into torchvision's whose `features.conv0` and `features.pool0` were replaced.
"""

from __future__ import annotations

import re

from torch import nn

from engine.contract.models.spec import is_small
from engine.model.plan import ModelPlan, Weights
from engine.model.stem import resized_kernel

STEM = "features.conv0.weight"
# The published file is older than torch's rule that names of modules have no dot: `norm.1` is `norm1` now
OLD_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")


def densenet121(plan: ModelPlan) -> nn.Module:
    """Input float [B, 3, S, S], output logits [B, classes]."""
    from torchvision.models import densenet121 as torchvisions

    model = torchvisions(weights=None, num_classes=plan.classes)
    if is_small(plan.size):
        model.features.conv0 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(model.features.conv0.weight)  # as in torchvision
        model.features.pool0 = nn.Identity()
    if plan.dropout:
        # Complete channels, before rectifier and mean: as if the features were dropped behind them.
        model.features.add_module("dropout", nn.Dropout2d(plan.dropout))
    return model


def fitted(weights: Weights, plan: ModelPlan) -> Weights:
    """torchvision's weights for images of this size, under their present names."""
    named = {OLD_NAME.sub(r"\1\2", name): tensor for name, tensor in weights.items()}
    return {**named, STEM: resized_kernel(named[STEM], 3)} if is_small(plan.size) else named
