"""Stochastic depth (Huang et al. 2016): residual branches that are skipped for single images in training.

The chance rises evenly from 0 at the first branch to the rate at the last, as in timm. It is drawn by torch's own
generators, which are seeded for every step, so that a resumed run skips the same branches.

ConvNeXt, Swin and EfficientNetV2 have it in torchvision. For its ResNets, MobileNets and ViTs the output of the branch
is hooked: no parameter gets another name, and in evaluation nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from torchvision.models import ResNet, VisionTransformer


def skip_branches(branches: Sequence[Sequence[nn.Module]], rate: float | None) -> None:
    """branches: by block, what each of its branches ends with, from the input on."""
    for number, ends in enumerate(branches):
        chance = (rate or 0.0) * number / max(1, len(branches) - 1)
        for end in ends if chance else ():
            end.register_forward_hook(partial(_skip, chance))


def _skip(chance: float, module: nn.Module, _: Any, output: torch.Tensor) -> torch.Tensor:
    from torchvision.ops import stochastic_depth

    return stochastic_depth(output, chance, "row", module.training)


def of_resnet(model: ResNet) -> list[list[nn.Module]]:
    """The last normalisation of each block."""
    from torchvision.models.resnet import Bottleneck

    stages = (model.layer1, model.layer2, model.layer3, model.layer4)
    blocks = [block for stage in stages for block in stage]
    return [[block.bn3 if isinstance(block, Bottleneck) else block.bn2] for block in blocks]


def of_vit(model: VisionTransformer) -> list[list[nn.Module]]:
    """Attention and perceptron of each block."""
    return [[block.dropout, block.mlp] for block in model.encoder.layers]


def of_mobilenet(model: Any) -> list[list[nn.Module]]:
    """The blocks that add their input."""
    return [[block.block] for block in model.features if getattr(block, "use_res_connect", False)]


def rescale(model: nn.Module, own: float, rate: float | None) -> None:
    """Of a model that torchvision built with its `own` rate."""
    from torchvision.ops import StochasticDepth

    for module in model.modules() if rate is not None else ():
        if isinstance(module, StochasticDepth):
            module.p *= rate / own  # type: ignore[operator]
