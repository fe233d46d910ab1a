"""Models of timm, by its own names: what can be said of one without importing it, which would import torch."""

from __future__ import annotations

import re

from engine.contract.models.spec import ModelSpec

TIMM = "timm/"  # how their names begin in a recipe
PATTERN = r"^timm/[a-z0-9][a-z0-9_]{0,80}(\.[a-z0-9][a-z0-9_]{0,80})?$"  # architecture, perhaps with a tag of weights


def timm_spec(name: str) -> ModelSpec | None:
    """None for what cannot be such a name. Whether timm has it, and its classifier, only timm knows."""
    if not re.match(PATTERN, name):
        return None
    own = name.removeprefix(TIMM)
    return ModelSpec(
        name=name,
        title=f"timm's {own}",
        family="timm",
        summary="of timm, as it is there",
        builder="engine.model.timm_models:build",
        parameters=None,
        activations=6e6,
        classifier=(),
        stochastic_depth=0.0,
        fitted="resampled by timm",
        extra="timm",
    )
