"""VGG-16 with batch normalisation (Simonyan & Zisserman 2015), as torchvision has it.

For small images it has no max-pool behind its first two blocks. Where its last map is smaller than the 7×7 that the
classifier was made for, torchvision repeats pixels up to that size; here the first linear layer takes the map as it is,
with the weights that give the same: a sixth of the parameters at 28 px. Its weights load with `strict=True` into
torchvision's whose `features.6`, `features.13`, `avgpool` and `classifier.0` were replaced.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from engine.contract.models.spec import is_small
from engine.model.plan import ModelPlan, Weights

FIRST = "classifier.0.weight"
POOLS = (6, 13)  # of the first two blocks
WIDTH, SIDE = 512, 7  # channels, and pixels per side, of the map that the published classifier takes


def vgg16_bn(plan: ModelPlan) -> nn.Module:
    """Input float [B, 3, S, S], output logits [B, classes]."""
    from torchvision.models import vgg16_bn as torchvisions

    model = torchvisions(weights=None, num_classes=plan.classes, dropout=plan.dropout)
    if is_small(plan.size):
        for pool in POOLS:
            model.features[pool] = nn.Identity()
    if (side := last_side(plan.size)) < SIDE:
        model.avgpool = nn.AdaptiveAvgPool2d(side)
        model.classifier[0] = nn.Linear(WIDTH * side * side, model.classifier[0].out_features)
        nn.init.normal_(model.classifier[0].weight, 0, 0.01)  # as in torchvision
        nn.init.zeros_(model.classifier[0].bias)
    return model


def last_side(size: int) -> int:
    """Pixels per side of the map that the classifier takes."""
    return min(SIDE, size >> (3 if is_small(size) else 5))


def fitted(weights: Weights, plan: ModelPlan) -> Weights:
    """torchvision's weights for images of this size."""
    side = last_side(plan.size)
    return weights if side == SIDE else {**weights, FIRST: on_smaller_map(weights[FIRST], side)}


def on_smaller_map(weight: torch.Tensor, side: int) -> torch.Tensor:
    """A linear layer [O, C·7·7] as [O, C·side·side], which gives for a map what the large one gives for it pooled to
    7×7."""
    pixels = torch.eye(side, dtype=torch.float64, device=weight.device)[:, None]
    pooling = F.adaptive_avg_pool1d(pixels, SIDE)[:, 0].T  # [7, side]: what each pooled pixel takes of each
    maps = weight.double().unflatten(1, (-1, SIDE, SIDE))
    return torch.einsum("ocyx,ya,xb->ocab", maps, pooling, pooling).flatten(1).to(weight.dtype)
