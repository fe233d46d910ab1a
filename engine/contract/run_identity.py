"""What makes two runs the same run: the hash over every identity field, and the name made from it."""

from __future__ import annotations

import json
from datetime import date
from hashlib import blake2b
from typing import Any

from engine.contract.datasets import datasets
from engine.contract.recipe import Recipe
from engine.contract.recipe_schema import FieldSpec, fields
from engine.contract.yaml_reader import written


def identity_json(recipe: Recipe) -> bytes:
    """Canonical JSON of every identity field: sorted keys, no spaces, UTF-8. `auto` stays `auto`."""
    values: dict[str, dict[str, Any]] = {}
    for spec, value in _identity(recipe):
        values.setdefault(spec.section, {})[spec.name] = value
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def identity_values(recipe: Recipe) -> dict[str, str]:
    """Every identity field by its dotted path, its value as a recipe writes it."""
    return {spec.path: written(value) for spec, value in _identity(recipe)}


def _identity(recipe: Recipe) -> list[tuple[FieldSpec, Any]]:
    specs = [spec for spec in fields().values() if spec.identity]
    return [(spec, _canonical(getattr(getattr(recipe, spec.section), spec.name))) for spec in specs]


def _canonical(value: Any) -> Any:
    return 0.0 if isinstance(value, float) and value == 0.0 else value  # -0.0 == 0.0, so they hash the same


def recipe_hash(recipe: Recipe) -> str:
    """BLAKE2b-16 of the identity, 32 hex digits; "already done" compares this."""
    return blake2b(identity_json(recipe), digest_size=16).hexdigest()


def short_hash(recipe: Recipe) -> str:
    """BLAKE2b-3 of the identity, the six hex digits of run directories."""
    return blake2b(identity_json(recipe), digest_size=3).hexdigest()


def run_name(recipe: Recipe, day: date) -> str:
    """`20261122_breastmnist_resnet18-adapted_1a2b3c`."""
    dataset = datasets()[recipe.dataset.name].label(recipe.dataset.size)
    model = recipe.model.name.replace("_", "-")
    return f"{day:%Y%m%d}_{dataset}_{model}_{short_hash(recipe)}"
