"""Models of timm (the extra `medtui[timm]`), built and loaded by timm itself. Only here is it imported.

timm's convolutional models are not adapted to small images: `model.input_size` enlarges these. Its transformers are
built for the image size, and timm resamples their weights.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from torch import nn

from engine.contract.models.catalogue import TIMM
from engine.contract.models.spec import ModelSpec, patch_size
from engine.contract.recipe.names import alternatives
from engine.contract.recipe.reader import recipe_error
from engine.contract.sentences import Conflicts, Fields
from engine.contract.wire.errors import InstallationError, Problem, WeightsError
from engine.model.plan import ModelPlan, Weights
from engine.sentences import Libraries, ModelWeights

PATCHED = re.compile(r"(vit|deit3?)_(tiny|small|medium|base|large|huge)_patch\d+_\d+")


def build(plan: ModelPlan) -> nn.Module:
    """With newly initialised weights. Raises InstallationError without timm, RecipeError for what it does not have."""
    module: nn.Module = _created(plan, pretrained=False)
    return module


def completed(spec: ModelSpec, module: Any) -> ModelSpec:
    """The spec with what only the built model tells: its classifier and its stages."""
    found = module.pretrained_cfg["classifier"]
    names = found if isinstance(found, tuple | list) else (found,)
    own = dict(module.named_parameters())
    classifier = tuple(key for name in names for key in (f"{name}.weight", f"{name}.bias") if key in own)
    return replace(spec, classifier=classifier, stages=_stages(module, classifier))


def _stages(module: Any, classifier: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """timm's own groups for layer-wise learning rates, by the names of their parameters."""
    from timm.models import group_parameters

    groups = group_parameters(module, module.group_matcher(coarse=False))
    found = (tuple(name for name in names if name not in classifier) for _, names in sorted(groups.items()))
    return tuple(names for names in found if names)


def pretrained_weights(plan: ModelPlan, *, may_fetch: bool) -> tuple[Weights, str, str]:
    """timm's own weights for a model of this plan, their name, and a SHA-256 of them. Raises WeightsError."""
    _timm()
    hub: Any = import_module("huggingface_hub.constants")  # which timm requires, and fetches through
    was = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = was or not may_fetch
    try:
        module: Any = _created(plan, pretrained=True)
    except Exception as error:  # the network, the hub or its cache
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise WeightsError(ModelWeights.TIMM, model=plan.model, reason=reason) from None
    finally:
        hub.HF_HUB_OFFLINE = was
    weights = module.state_dict()
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        if not name.startswith(tuple(_heads(module))):
            digest.update(name.encode() + tensor.contiguous().reshape(-1).numpy().tobytes())
    tag = module.pretrained_cfg.get("tag") or ""
    return weights, ".".join(filter(None, (module.pretrained_cfg["architecture"], tag))), digest.hexdigest()


def _heads(module: Any) -> list[str]:
    found = module.pretrained_cfg["classifier"]
    return [f"{name}." for name in (found if isinstance(found, tuple | list) else (found,))]


def _created(plan: ModelPlan, *, pretrained: bool) -> Any:
    timm, name = _timm(), plan.model.removeprefix(TIMM)
    if not timm.is_model(name) or _config(timm, name) is None:
        known = timm.list_models(include_tags="." in name)
        found = alternatives("timm model", name, known)
        problem = Problem.of(("model", "name"), Fields.UNKNOWN_MODEL, found=plan.model, alternatives=found)
        raise recipe_error("recipe", [problem])
    sizes: dict[str, int] = {}
    if getattr(_config(timm, name), "fixed_input_size", False):
        sizes["img_size"] = plan.size
        if PATCHED.match(name) and (patch := patch_size(plan.size)) is not None:
            sizes["patch_size"] = patch
    rates = {"drop_rate": plan.dropout}
    if plan.stochastic_depth is not None:
        rates["drop_path_rate"] = plan.stochastic_depth
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=plan.classes, **rates, **sizes)
    except TypeError as error:
        if plan.stochastic_depth is None or "drop_path_rate" not in str(error):
            raise
        problem = Problem.of(("model", "stochastic_depth"), Conflicts.NO_BRANCHES, model=plan.model)
        raise recipe_error("recipe", [problem]) from None


def _config(timm: ModuleType, name: str) -> Any:
    """What timm says of its weights; None for a tag that it does not have."""
    try:
        return timm.models.get_pretrained_cfg(name)
    except RuntimeError:
        return None


@cache
def _timm() -> ModuleType:
    try:
        import timm
    except ImportError:
        raise InstallationError(Libraries.NO_TIMM) from None
    return timm
