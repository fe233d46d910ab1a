"""What makes two runs the same run: the hash of what was asked for, the hash of what was done, and a run's name.

The fields of schema version 1 are hashed by their values, a newer one only where it differs from its default: so a new
field whose default is the old behaviour changes no hash, and every run directory keeps its own.
"""

from __future__ import annotations

import json
from datetime import date
from hashlib import blake2b
from typing import Any

from engine.contract.recipe.own_images import last_part
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.schema import FieldSpec, fields
from engine.contract.recipe.sources import facts_of
from engine.contract.recipe.yaml_reader import written
from engine.contract.wire.resolved import Resolved, StartingWeights

SHORT = 6  # hex digits

# The identity fields of schema version 1. Frozen: one that is added here, or taken away, changes every hash.
VERSION_1 = {
    "dataset": ("name", "size", "limit", "md5"),
    "model": ("name", "pretrained", "dropout"),
    "training": (
        *("epochs", "batch_size", "seed", "optimizer", "lr", "min_lr", "schedule", "warmup_epochs"),
        *("plateau_patience", "plateau_factor", "momentum", "nesterov", "weight_decay", "label_smoothing"),
        *("class_weights", "mixup_alpha", "mixup_until", "clip_norm", "ema_decay", "patience", "amp", "compile"),
        "init_from",
    ),
    "augmentation": ("hflip", "vflip", "rotation", "shift", "scale", "brightness", "contrast", "saturation"),
    "evaluation": ("tta",),
    "runtime": ("reproducible", "device"),
}

# Identity fields that say what is asked for, and the value that says what became of it: that is hashed instead.
DECIDED_BY = {
    "dataset.md5": "data",
    "model.pretrained": "weights",
    "model.weights": "weights",
    "training.amp": "precision",
    "training.init_from": "weights",
    "augmentation.hflip": "hflip",
    "evaluation.tta": "views",
    "runtime.device": "device",
}

# The same, where a recipe may name the value itself: it takes the place of `auto`, and named values keep their hash.
DECIDED_IN_PLACE = {"training.batch_size": "batch_size"}


def identity(recipe: Recipe) -> dict[str, Any]:
    """What is hashed, by dotted path. `auto` stays `auto`."""
    return {spec.path: value for spec, value in _identity(recipe) if _is_old(spec) or value != _canonical(spec.default)}


def identity_json(recipe: Recipe) -> bytes:
    """Canonical JSON of the identity, field within section."""
    values: dict[str, dict[str, Any]] = {}
    for path, value in identity(recipe).items():
        section, _, name = path.partition(".")
        values.setdefault(section, {})[name] = value
    return canonical_json(values)


def canonical_json(values: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def identity_values(recipe: Recipe) -> dict[str, str]:
    """Every identity field by its dotted path, its value as a recipe writes it."""
    return {spec.path: written(value) for spec, value in _identity(recipe)}


def newer_defaults(model: type[Recipe] = Recipe) -> dict[str, str]:
    """What a run that was made before these identity fields were there did, as a recipe writes it."""
    return {
        spec.path: written(_canonical(spec.default))
        for spec in fields(model).values()
        if spec.identity and not _is_old(spec)
    }


def _identity(recipe: Recipe) -> list[tuple[FieldSpec, Any]]:
    specs = [spec for spec in fields(type(recipe)).values() if spec.identity]
    values = [(spec, getattr(getattr(recipe, spec.section), spec.name)) for spec in specs]
    return [(spec, _canonical(last_part(value) if spec.schema.get("path") else value)) for spec, value in values]


def _is_old(spec: FieldSpec) -> bool:
    return spec.name in VERSION_1.get(spec.section, ())


def _canonical(value: Any) -> Any:
    return 0.0 if isinstance(value, float) and value == 0.0 else value  # -0.0 == 0.0, so they hash the same


def recipe_hash(recipe: Recipe) -> str:
    """BLAKE2b-16 of the identity, 32 hex digits: what was asked for. `resolved_hash` tells what was done."""
    return hash_of(identity_json(recipe))


def resolved_hash(recipe: Recipe, resolved: Resolved) -> str | None:
    """BLAKE2b-16 of what decides a run's results: the recipe's identity, with what every `auto` became in its place.

    Equal for equal experiments, whatever their recipes left to the machine. The GPU's model, threads and storage are
    no part of it. None where something that decides is not known.
    """
    decided = _deciding(resolved)
    if decided is None:
        return None
    asked = {path: value for path, value in identity(recipe).items() if path not in DECIDED_BY}
    for path, name in DECIDED_IN_PLACE.items():
        if asked.get(path) == "auto":
            asked[path] = getattr(resolved, name)
            if asked[path] is None:
                return None
    return hash_of(canonical_json({"recipe": asked, "resolved": decided}))


def _deciding(resolved: Resolved) -> dict[str, Any] | None:
    weights = resolved.weights
    if weights is None or (weights.kind != "scratch" and weights.digest is None):
        return None
    names = ("data", "device", "precision", "hflip", "views")
    values = {name: getattr(resolved, name) for name in names}
    if None in values.values():
        return None
    values["hflip"] = float(values["hflip"]) + 0.0  # -0.0 is 0.0
    if resolved.best_by is not None:
        values["best_by"] = resolved.best_by
    return values | {"weights": _deciding_weights(weights)}


def _deciding_weights(weights: StartingWeights) -> list[str | None]:
    if weights.kind == "scratch":
        return ["scratch", None]
    return [weights.kind, weights.digest, *([weights.adapted] if weights.adapted else [])]


def hash_of(text: bytes) -> str:
    return blake2b(text, digest_size=16).hexdigest()


def short_hash(recipe: Recipe) -> str:
    """The first six hex digits of `recipe_hash`, with which names of run directories end.

    Directories made before this was so end with six digits of another hash of the same identity.
    """
    return recipe_hash(recipe)[:SHORT]


def run_name(recipe: Recipe, day: date) -> str:
    """`20261122_breastmnist_resnet18-adapted_1a2b3c`."""
    dataset = facts_of(recipe.dataset).label(recipe.dataset.size)
    model = recipe.model.name.replace("_", "-").replace("/", "-")
    return f"{day:%Y%m%d}_{dataset}_{model}_{short_hash(recipe)}"
