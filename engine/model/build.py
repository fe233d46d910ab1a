"""A model from its entry in the catalogue, and the weights to start from; every decision described in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import nn

from engine.contract.files.paths import is_file
from engine.contract.models.catalogue import ModelSpec
from engine.contract.wire.errors import WeightsError
from engine.contract.wire.resolved import StartingWeights
from engine.model.groups import ParameterGroup, parameter_groups
from engine.model.normalisation import Normalisation
from engine.model.plan import ModelPlan
from engine.model.stem import resized_kernel
from engine.model.weights import Weights, load_published
from engine.sentences import ModelWeights

COUNTER = ".num_batches_tracked"  # missing in files from before torch 0.4, and unused here
RESIZED = "its stem resized with the scale kept"  # runs before this was so started from a decimated one

Statistics = tuple[list[float], list[float]]  # mean and deviation per channel, of images in 0 … 1


@dataclass(frozen=True)
class Built:
    spec: ModelSpec
    module: nn.Module  # normalised float [B, 3, H, W] to logits [B, classes]
    groups: tuple[ParameterGroup, ...]
    normalisation: Normalisation  # float [B, C, H, W] in 0 … 1 to what the module takes


def build(spec: ModelSpec, plan: ModelPlan, statistics: Statistics) -> Built:
    """The model with newly initialised weights."""
    module_name, _, function = spec.builder.partition(":")
    module = getattr(import_module(module_name), function)(plan)
    return Built(spec, module, parameter_groups(module, spec), Normalisation(*statistics))


def start_from_published(
    built: Built, pretrained: bool | str, fetch: Callable[[], None] | None = None
) -> StartingWeights:
    """Load the published weights where the recipe requests them: `true`, or `auto` where they are available.

    `fetch`: how to come by their file where it is missing; None is not at all. Raises WeightsError for `true` alone.
    """
    weights, name = built.spec.weights, built.spec.name
    if pretrained is False:
        return StartingWeights(kind="scratch")
    if weights is None:
        if pretrained is True:
            raise WeightsError(ModelWeights.NONE_PUBLISHED, model=name)
        return StartingWeights(kind="scratch", note=f"there are no ImageNet weights for {name}")
    try:
        if fetch is not None and not is_file(weights.path):
            fetch()
        digest = _load_published(built)
    except WeightsError as error:
        if pretrained is True:
            raise
        return StartingWeights(kind="scratch", note=error.message)
    adapted = RESIZED if built.spec.stem else ""
    return StartingWeights(kind="imagenet", id=weights.file_name, digest=digest, adapted=adapted)


def _load_published(built: Built) -> str:
    """All but the classifier, which is of other classes. The file's SHA-256. Raises WeightsError."""
    spec = built.spec
    assert spec.weights is not None
    source, (weights, digest) = str(spec.weights.path), load_published(spec.weights)
    if spec.stem is not None:
        own, found = built.module.state_dict()[spec.stem].shape, weights.get(spec.stem)
        if found is None or found.ndim != len(own) or found.shape[:2] != own[:2] or found.shape[-1] < own[-1]:
            raise WeightsError(ModelWeights.OTHER_FAMILY, path=source, family=spec.family, stem=spec.stem)
        weights = {**weights, spec.stem: resized_kernel(found, own[-1])}
    load_matching(built, {name: tensor for name, tensor in weights.items() if name not in spec.classifier}, source)
    return digest


def load_matching(built: Built, weights: Weights, source: str) -> list[str]:
    """Load every weight; only the classifier may be missing or of another size. Returns the names left as they were.

    Raises WeightsError when anything else does not fit.
    """
    own, classifier = built.module.state_dict(), built.spec.classifier
    fitting = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    left = [name for name in own if name not in fitting]
    mismatched = [name for name in left if name not in classifier and not name.endswith(COUNTER)]
    mismatched += [name for name in weights if name not in own and name not in classifier]
    if mismatched:
        raise WeightsError(ModelWeights.UNFIT, path=source, names=", ".join(mismatched[:3]))
    with torch.no_grad():
        built.module.load_state_dict(fitting, strict=False)
    return left


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
