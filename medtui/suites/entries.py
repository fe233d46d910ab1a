"""Entries of the queue, each labelled by its own recipe: whatever is added, no other label changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from engine.contract.recipe.reader import build_recipe, recipe_from_values
from engine.contract.recipe.shipped import shipped_recipes
from engine.contract.recipe.yaml_reader import read_yaml_file, written
from engine.contract.wire.errors import MedtuiError
from medtui.suites.plan import IN_LABEL
from medtui.suites.work import Item

_PARTS = ("dataset.limit", "dataset.folds", "dataset.fold")
Fields = Mapping[str, str]  # of a recipe, as it writes them, by their path


def distinguished(entries: Iterable[Item]) -> list[Item]:
    """Labelled with what they set: `cells, mini_cnn, limit 40, epochs 1, seed 42`.

    No recipe is checked: one of an older medtui is an entry too.
    """
    return [replace(entry, label=_label(entry.label, _fields(entry.recipe))) for entry in entries]


def _fields(recipe: Mapping[str, Any]) -> Fields:
    sections = {name: section for name, section in recipe.items() if isinstance(section, dict)}
    return {f"{name}.{field}": written(value) for name, section in sections.items() for field, value in section.items()}


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Fields]:
    """The recipes that come with medtui, by name."""
    found = {}
    for name, path in shipped_recipes().items():
        try:
            found[name] = _fields(recipe_from_values(read_yaml_file(path).values).model_dump(mode="json"))
        except MedtuiError:  # a damaged installation
            continue
    return found


@lru_cache(maxsize=1)
def _defaults() -> Fields:
    """What a run is trained with where nothing is set; of its data, which part of them."""
    fields = _fields(build_recipe({"dataset": {"name": "cells"}}).model_dump(mode="json"))
    return {path: one for path, one in fields.items() if not path.startswith("dataset.") or path in _PARTS}


def _set_in(fields: Fields) -> list[str]:
    """In what it differs from the likest shipped recipe of its data, or the defaults, whose name is said too unless it
    is the first.

    A field that an older recipe has not is no difference.
    """
    of_data = {name: one for name, one in _shipped().items() if one.get("dataset.name") == fields.get("dataset.name")}
    changed = {name: _changed(fields, one) for name, one in (of_data | {"defaults": _defaults()}).items()}
    first, likest = next(iter(changed)), min(changed, key=lambda name: len(changed[name]))
    names = [likest] if likest != first else []
    return [*names, *(f"{path.partition('.')[2]} {fields[path]}" for path in changed[likest])]


def _changed(fields: Fields, base: Fields) -> list[str]:
    return [path for path, value in base.items() if path not in IN_LABEL and fields.get(path, value) != value]


def _label(label: str, fields: Fields) -> str:
    """What was named when it was added is there already. The seed stays last."""
    named, seed_word, seed = label.rpartition(", seed ")
    parts = (named or label).split(", ")
    for words in _set_in(fields):
        name, _, value = words.partition(" ")
        if words not in parts and not (value and any(part.startswith(f"{name} ") for part in parts)):
            parts.append(words)
    return ", ".join(parts) + (f"{seed_word}{seed}" if named else "")
