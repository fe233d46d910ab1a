"""What was decided for a run, from its manifest and its recipe, of any version of medtui."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from engine.contract.data.views import view_names
from engine.contract.recipe.identity import resolved_hash
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sources import facts_of
from engine.contract.wire.errors import RecipeError
from engine.contract.wire.recorded import read_resolved, translated, weights_of
from engine.contract.wire.resolved import Resolved


def resolved_of(manifest: Mapping[str, Any], recipe: Recipe | None) -> Resolved:
    """Of a run's first attempt. What medtui 0.1.0 recorded in words is read from them, and from the run's recipe."""
    if isinstance(manifest.get("resolved"), Mapping):
        return read_resolved(manifest["resolved"])
    attempts, decisions = manifest.get("attempts"), manifest.get("decisions")
    first = attempts[0] if isinstance(attempts, list) and attempts else None
    recorded = first.get("must_match") if isinstance(first, Mapping) else None
    values = translated(recorded) if isinstance(recorded, Mapping) else {}
    if isinstance(decisions, Mapping):
        words = decisions.get("weights")
        if values.get("weights") is None and isinstance(words, str) and (start := weights_of(words)) is not None:
            values["weights"] = start.model_dump()
        values["storage"] = decisions.get("cache")
        values["hflip"] = decisions.get("hflip")  # a number as text, rounded, which pydantic reads
    if recipe is not None:
        if recipe.augmentation.hflip != "auto":
            values["hflip"] = recipe.augmentation.hflip
        with contextlib.suppress(RecipeError):  # of a data set that there is not here
            values["views"] = view_names(facts_of(recipe.dataset).symmetry, recipe.evaluation.tta)
    return read_resolved(values)


def resolved_hash_of(manifest: Mapping[str, Any], recipe: Recipe) -> str | None:
    """A run's `resolved_hash`. None once it has drifted: it is no experiment that a recipe and a machine describe."""
    return None if manifest.get("drift") else resolved_hash(recipe, resolved_of(manifest, recipe))
