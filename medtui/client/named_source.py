"""Which images a word means: a data set's name, images of the user's own by their path, or a recipe."""

from __future__ import annotations

from typing import Any

from engine.contract.files.paths import absolute, expanded, is_there, path_status
from engine.contract.recipe.names import alternatives
from engine.contract.recipe.reader import build_recipe, find_recipe
from engine.contract.recipe.shipped import shipped_recipes
from engine.contract.recipe.sources import known_sets
from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.contract.wire.errors import UsageError
from engine.contract.wire.text import shortened
from medtui.sentences import Exploring

OWN_SIZE = 64  # pixels per side of images of the user's own, unless another size is asked for
TABLES = (".csv", ".tsv")


def own_images_key(word: str) -> str | None:
    """The field of a recipe's `dataset` that names such a path: folder, csv or npz; None for what is none.

    A shipped recipe's name means that recipe, whatever folder is called so here.
    """
    path, suffix = expanded(word), expanded(word).suffix.lower()
    if suffix in (".yaml", ".yml"):
        return None  # meant as a recipe, whatever is there
    if path_status(path).is_folder and word not in shipped_recipes():
        return "folder"
    return {**dict.fromkeys(TABLES, "csv"), ".npz": "npz"}.get(suffix)


def means_a_set(word: str) -> bool:
    """Is it a data set's name? Raises UsageError for what is nothing that has images."""
    if not word.strip():
        raise UsageError(Exploring.EMPTY_SOURCE)
    sets = [facts.name for facts in known_sets()]
    if own_images_key(word) is not None or (word not in sets and (word in shipped_recipes() or is_there(word))):
        return False
    if word not in sets:
        instead = alternatives("data set", word, sets, "{name} --size {size}")
        raise UsageError(Exploring.UNKNOWN_SOURCE, found=shortened(word), alternatives=instead)
    return True


def section_named(word: str) -> dict[str, Any]:
    """The `dataset` section of a recipe that a word means. Raises UsageError or RecipeError."""
    if means_a_set(word):
        return {"name": word}
    if (key := own_images_key(word)) is not None:
        return {key: str(absolute(expanded(word))), "size": OWN_SIZE}
    text = read_yaml_file(find_recipe(word))
    return build_recipe(text.values, source=text.source, lines=text.lines).dataset.model_dump(mode="json")
