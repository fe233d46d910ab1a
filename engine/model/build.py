"""A model from its entry in the catalogue, with its normalisation and the groups of its parameters, and the weights to
start from; every decision described in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import torch
import torch.nn.functional as F
from torch import nn

from engine.contract.files.paths import is_file
from engine.contract.models.catalogue import TIMM
from engine.contract.models.spec import ModelSpec
from engine.contract.wire.errors import WeightsError
from engine.contract.wire.resolved import StartingWeights
from engine.model.plan import ModelPlan, Weights
from engine.model.weights import load_published, read_file, renamed
from engine.sentences import ModelWeights

# Missing in files from before torch 0.4, and unused here; following from a window's size
DERIVED = (".num_batches_tracked", ".relative_position_index")
NAMED = 3  # weights, in an error
ALL_STAGES = 1_000_000  # to freeze: all but the head

Statistics = tuple[list[float], list[float]]  # mean and deviation per channel, of images in 0 … 1


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters by their names. The default is what every parameter gets unless specified otherwise."""

    names: tuple[str, ...]
    rate: float = 1.0  # what the schedule's learning rate is multiplied by
    decays: bool = True  # whether the recipe's weight decay holds for them


@dataclass(frozen=True)
class GroupRules:
    """What a recipe says of them."""

    freeze: int = 0  # stages from the input on that are not trained
    layer_decay: float = 1.0  # of the learning rate, from each stage to the one before it
    head_rate: float = 1.0  # multiplier of the head's learning rate
    decays_norms: bool | None = None  # None: as the catalogue has it


class Normalisation(nn.Module):
    """From float [B, C, H, W] in 0 … 1 to what a model takes: its size, three channels, zero mean, unit deviation."""

    mean: torch.Tensor  # [C, 1, 1]
    std: torch.Tensor  # [C, 1, 1]

    def __init__(self, mean: Sequence[float], std: Sequence[float], size: int | None = None) -> None:
        """`size`: pixels per side that images are enlarged to; None leaves them."""
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Float [B, C, H, W] to float [B, 3, S, S]; grey is expanded. Enlarged by bicubic interpolation."""
        normal = (images - self.mean) / self.std
        if self.size is not None:
            normal = F.interpolate(normal, size=(self.size, self.size), mode="bicubic", align_corners=False)
        return normal.expand(-1, 3, -1, -1) if normal.shape[1] == 1 else normal


@dataclass(frozen=True)
class Built:
    spec: ModelSpec
    module: nn.Module  # normalised float [B, 3, H, W] to logits [B, classes]
    groups: tuple[ParameterGroup, ...]  # what is trained
    normalisation: Normalisation  # float [B, C, H, W] in 0 … 1 to what the module takes
    plan: ModelPlan


def build(spec: ModelSpec, plan: ModelPlan, statistics: Statistics, rules: GroupRules = GroupRules()) -> Built:
    """The model with newly initialised weights. Raises InstallationError or RecipeError for one of timm's."""
    plan = replace(plan, model=spec.name)
    module_name, _, function = spec.builder.partition(":")
    module = getattr(import_module(module_name), function)(plan)
    if spec.name.startswith(TIMM):
        from engine.model.timm_models import completed

        spec = completed(spec, module)
    groups = parameter_groups(module, spec, rules)
    freeze_others(module, groups)
    return Built(spec, module, groups, Normalisation(*statistics, plan.enlarged_to), plan)


# ---- which parameters are trained, and which of them alike -----------------------------------------------------------


def parameter_groups(
    module: nn.Module, spec: ModelSpec, rules: GroupRules = GroupRules()
) -> tuple[ParameterGroup, ...]:
    """Every parameter that is trained in one group, by its rate and whether it decays; the order within a group is the
    module's."""
    found: dict[tuple[float, bool], list[str]] = defaultdict(list)
    decays_norms = spec.decays_norms if rules.decays_norms is None else rules.decays_norms
    for name, parameter, depth in _by_depth(module, spec):
        if depth > 0 and depth > stage_count(spec) - rules.freeze:
            continue
        rate = next((rate for beginning, rate in spec.rates if name.startswith(beginning)), 1.0)
        rate *= rules.head_rate if depth == 0 else rules.layer_decay**depth
        of_norm_or_bias = parameter.ndim <= 1 or name.endswith(spec.undecayed)
        found[rate, decays_norms or not of_norm_or_bias].append(name)
    return tuple(ParameterGroup(tuple(names), rate, decays) for (rate, decays), names in found.items())


def freeze_others(module: nn.Module, groups: tuple[ParameterGroup, ...]) -> None:
    """No gradients for the parameters that are in no group."""
    trained = {name for group in groups for name in group.names}
    for name, parameter in module.named_parameters():
        if name not in trained:
            parameter.requires_grad_(False)


def stage_count(spec: ModelSpec) -> int:
    return max(1, len(spec.stages))


def _by_depth(module: nn.Module, spec: ModelSpec) -> Iterator[tuple[str, nn.Parameter, int]]:
    """Each parameter with the distance of its stage from the head, which is 0; 1 for the last stage."""
    for name, parameter in module.named_parameters():
        yield name, parameter, 0 if name in spec.classifier else stage_count(spec) - _stage(name, spec)


def _stage(name: str, spec: ModelSpec) -> int:
    """From 0; what no stage names belongs to the last one."""
    found = (number for number, beginnings in enumerate(spec.stages) if name.startswith(beginnings))
    return next(found, stage_count(spec) - 1)


# ---- published weights -----------------------------------------------------------------------------------------------


def start_from_published(
    built: Built, pretrained: bool | str, fetch: Callable[[], None] | None = None
) -> StartingWeights:
    """Load the published weights where the recipe requests them: `true`, or `auto` where they are available.

    `fetch`: how to come by their file where it is missing; None is not at all. Raises WeightsError for `true` alone.
    """
    weights, name = built.spec.weights, built.spec.name
    if pretrained is False:
        return StartingWeights(kind="scratch")
    if weights is None and not name.startswith(TIMM):
        if pretrained is True:
            raise WeightsError(ModelWeights.NONE_PUBLISHED, model=name)
        return StartingWeights(kind="scratch", note=f"there are no ImageNet weights for {name}")
    try:
        if weights is None:
            return _load_timms(built, may_fetch=fetch is not None)
        if fetch is not None and not is_file(weights.path):
            fetch()
        digest, adapted = _load_published(built)
    except WeightsError as error:
        if pretrained is True:
            raise
        return StartingWeights(kind="scratch", note=error.message)
    return StartingWeights(kind="imagenet", id=weights.file_name, digest=digest, adapted=adapted)


def _load_published(built: Built) -> tuple[str, str]:
    """All but the classifier, which is of other classes. The file's SHA-256, and how it was made to fit.

    Raises WeightsError.
    """
    spec = built.spec
    assert spec.weights is not None
    source, (weights, digest) = str(spec.weights.path), load_published(spec.weights)
    found = fitted(built, weights, source)
    load_matching(built, {name: tensor for name, tensor in found.items() if name not in spec.classifier}, source)
    return digest, spec.fitted if found is not weights else ""


def _load_timms(built: Built, *, may_fetch: bool) -> StartingWeights:
    from engine.model.timm_models import pretrained_weights

    weights, name, digest = pretrained_weights(built.plan, may_fetch=may_fetch)
    kept = {name: tensor for name, tensor in weights.items() if name not in built.spec.classifier}
    load_matching(built, kept, name)
    return StartingWeights(kind="imagenet", id=name, digest=digest, adapted=built.spec.fitted)


def fitted(built: Built, weights: Weights, source: str) -> Weights:
    """Published weights as the model has them at its size: the same object where they need no change.

    Raises WeightsError where they are of another model.
    """
    spec = built.spec
    if not spec.fit:
        return weights
    try:
        found: Weights = resolve_name(spec.fit)(weights, built.plan)
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        what = error.args[0] if isinstance(error, KeyError) else "a weight"
        raise WeightsError(ModelWeights.OTHER_FAMILY, path=source, family=spec.family, stem=what) from None
    return found


# ---- other weights ---------------------------------------------------------------------------------------------------


def load_matching(built: Built, weights: Weights, source: str) -> list[str]:
    """Load every weight; only the classifier may be missing or of another size. Returns the names left as they were.

    Raises WeightsError when anything else does not fit.
    """
    own, classifier = built.module.state_dict(), built.spec.classifier
    fitting = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    left = [name for name in own if name not in fitting]
    mismatched = [name for name in left if name not in classifier and not name.endswith(DERIVED)]
    mismatched += [name for name in weights if name not in own and name not in classifier]
    if mismatched:
        raise WeightsError(ModelWeights.UNFIT, path=source, names=", ".join(mismatched[:NAMED]))
    with torch.no_grad():
        built.module.load_state_dict(fitting, strict=False)
    return left


def start_from_file(built: Built, path: Path) -> StartingWeights:
    """Load what fits of a file of the user's own, under whatever common beginning its names have.

    The file may hold the model as medtui writes it, or as it was published, which is then fitted to the images. Raises
    WeightsError where there is no match, or the file cannot be read safely.
    """
    held = read_file(path)
    own = built.module.state_dict()
    weights = renamed(held.weights, own)
    candidates = [(weights, "")]
    try:
        made = fitted(built, weights, str(path))
        if made is not weights:
            candidates.append((made, built.spec.fitted))
    except WeightsError:
        pass  # it is no published model
    if not held.is_ours:  # of equal fits the published one is meant, whose stem may have the shape of the fitted one
        candidates.reverse()
    found, adapted = max(candidates, key=lambda candidate: len(_fitting(candidate[0], own)))
    loaded = _fitting(found, own)
    if not any(tensor.ndim > 1 and name not in built.spec.classifier for name, tensor in loaded.items()):
        names = (", ".join(list(tensors)[:NAMED]) or "none" for tensors in (own, held.weights))
        raise WeightsError(ModelWeights.NOTHING_FITS, path=path, expected=next(names), found=next(names))
    with torch.no_grad():
        built.module.load_state_dict(loaded, strict=False)
    counted = [name for name in own if not name.endswith(DERIVED)]
    left = tuple(name for name in counted if name not in loaded)
    return StartingWeights(
        kind="file",
        id=path.name,
        digest=held.digest,
        left=left,
        adapted=adapted,
        loaded=len(counted) - len(left),
        unused=sum(name not in loaded and not name.endswith(DERIVED) for name in found),
    )


def _fitting(weights: Weights, own: Weights) -> Weights:
    return {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
