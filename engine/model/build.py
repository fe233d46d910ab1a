"""A model from its name and the weights to start from; every decision told in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from engine.contract.errors import WeightsError
from engine.model import resnet18
from engine.model.mini_cnn import mini_cnn
from engine.model.weights import Weights, imagenet_file, load_imagenet

_BUILDERS = {"resnet18_adapted": resnet18.adapted, "resnet18": resnet18.plain, "mini_cnn": mini_cnn}

HEAD = ("fc.weight", "fc.bias")  # the classifier of every family
COUNTER = ".num_batches_tracked"  # missing in files from before torch 0.4, and used by nobody here


@dataclass(frozen=True)
class Built:
    model: nn.Module
    start: str  # what the weights started from, in words
    pretrained: bool


def build_model(
    name: str, classes: int, dropout: float, pretrained: bool | str, fetch: Callable[[], None] | None = None
) -> Built:
    """The model with its starting weights. Raises WeightsError where `pretrained: true` cannot be had.

    `fetch`: how to come by ImageNet's where their file is missing; None is not at all.
    """
    model = _BUILDERS[name](classes, dropout)
    if pretrained is False:
        return Built(model, "from scratch", pretrained=False)
    if name == "mini_cnn":
        if pretrained is True:
            raise WeightsError("There are no ImageNet weights for mini_cnn.", "Write `pretrained: false`.")
        return Built(model, "from scratch (there are no ImageNet weights for mini_cnn)", pretrained=False)
    try:
        if fetch is not None and not imagenet_file().is_file():
            fetch()
        weights = load_imagenet()
        adapted = resnet18.adapt_stem(weights) if name == "resnet18_adapted" else weights
        load_matching(model, _without_head(adapted), str(imagenet_file()))
    except WeightsError as error:
        if pretrained is True:
            raise
        return Built(model, f"from scratch ({error.message})", pretrained=False)
    return Built(model, f"ImageNet weights, {imagenet_file().name}", pretrained=True)


def _without_head(weights: Weights) -> Weights:
    """The weights less ImageNet's thousand-class head."""
    return {name: tensor for name, tensor in weights.items() if name not in HEAD}


def load_matching(model: nn.Module, weights: Weights, source: str) -> list[str]:
    """Load every weight; only the head may be missing or of another size. Returns the names left as they were.

    Raises WeightsError when anything else does not fit.
    """
    own = model.state_dict()
    fitting = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    left = [name for name in own if name not in fitting]
    odd = [name for name in left if name not in HEAD and not name.endswith(COUNTER)]
    odd += [name for name in weights if name not in own and name not in HEAD]
    if odd:
        raise WeightsError(
            f"The weights of {source} do not fit this model: {', '.join(odd[:3])} differ.", "Use the model they are of."
        )
    with torch.no_grad():
        model.load_state_dict(fitting, strict=False)
    return left


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
