"""Recipes from files, flags and `--set`, checked with every problem named; and recipes written out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from engine.contract.data.datasets import datasets
from engine.contract.files.folders import File, named_by_user
from engine.contract.files.paths import expanded, is_folder, path_status
from engine.contract.recipe.conflicts import external_conflicts, unknown_set
from engine.contract.recipe.names import alternatives, suggestions
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.schema import fields, section_titles
from engine.contract.recipe.shipped import shipped_recipes
from engine.contract.recipe.yaml_reader import SIZE_LIMIT, KeyPath, read_yaml_file, scalar, written
from engine.contract.sentences import Fields, Recipes
from engine.contract.wire.errors import Problem, RecipeError
from engine.contract.wire.text import shortened

NAMED_PROBLEMS = 20  # in one sentence; all of them stay on the error


def build_recipe(
    values: Mapping[str, Any],
    *,
    source: str = "recipe",
    lines: Mapping[KeyPath, int] | None = None,
    model: type[Recipe] = Recipe,
) -> Recipe:
    """The recipe that these values make, defaults filled in, and that can be run by what is known of its data set.

    Raises RecipeError with every problem found.
    """
    recipe, problems = _shaped(values, model)
    problems = (external_conflicts(recipe) if recipe is not None else unknown_set(values)) + problems
    if recipe is None or problems:
        by_field = {problem.path: _at_line(problem, lines or {}) for problem in problems}
        raise recipe_error(source, list(by_field.values()))
    return recipe


def read_recipe(file: File) -> Recipe:
    """A run's own recipe. Raises RecipeError."""
    require_recipe(file)
    text = read_yaml_file(file)
    return build_recipe(text.values, source=text.source, lines=text.lines)


def require_recipe(file: File) -> None:
    """Raises RecipeError where a run's own recipe is not there."""
    if not file.is_there:
        raise RecipeError(Recipes.OF_RUN_MISSING, run=file.parent.name, path=file)


def recipe_from_values(values: Mapping[str, Any], model: type[Recipe] = Recipe) -> Recipe:
    """The recipe that these values make, whatever there is of its data. Raises RecipeError."""
    recipe, problems = _shaped(values, model)
    if recipe is None or problems:
        raise recipe_error("recipe", problems)
    return recipe


def _shaped(values: Mapping[str, Any], model: type[Recipe]) -> tuple[Recipe | None, list[Problem]]:
    """The recipe and what its fields say against each other; none where a field is not what the schema says."""
    try:
        return model.model_validate(dict(values)), []
    except ValidationError as error:
        items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "conflicts":
            return item["ctx"]["recipe"], item["ctx"]["problems"]
    return None, _problems(items, model)


def _at_line(problem: Problem, lines: Mapping[KeyPath, int]) -> Problem:
    return replace(problem, line=lines.get(problem.path))


_RECIPES = ("recipe", "recipes")
_OF_MANY_RUNS: tuple[KeyPath, ...] = tuple((name,) for name in _RECIPES)
# What a suite or a search has, perhaps before it names its recipes, and no recipe has
_KEYS_OF_MANY_RUNS = (*_RECIPES, "datasets", "sizes", "models", "seeds", "exclude", "include", "space", "budget")


def has_key(file: File, *names: str) -> bool:
    """Does it begin a line, or its braces, with one of these keys? It is not parsed. Never raises."""
    keys = rf"(?:^|\A\s*{{\s*)[\"']?(?:{'|'.join(names)})[\"']?\s*:"
    try:
        return re.search(keys.encode(), file.content(SIZE_LIMIT), re.MULTILINE) is not None
    except OSError:
        return False


def names_recipes(file: File) -> bool:
    """Whether it is the file of a suite or a search, and so no recipe. Never raises."""
    return has_key(file, *_RECIPES)


def recipe_error(
    source: str, problems: list[Problem], kind: Literal["recipe", "suite", "search"] = "recipe"
) -> RecipeError:
    """One error that names every problem, by line. `problems` stays on it, for a form to show next to its fields.

    `kind`: of the file, where that is wrong itself, and no recipe that it makes.
    """
    problems = sorted(problems, key=lambda problem: problem.line or math.inf)
    sentences = []
    for problem in problems[:NAMED_PROBLEMS]:
        line = f"line {problem.line}: " if problem.line else ""
        sentences.append(f"{line}{'.'.join(problem.path)} {problem.message}".replace(":  ", ": "))
    if len(problems) > NAMED_PROBLEMS:
        sentences.append(f"and {len(problems) - NAMED_PROBLEMS} more")
    found = "; ".join(sentences)
    if kind != "recipe":
        them = "it" if len(problems) == 1 else "them"
        return RecipeError(Recipes.OF_MANY, source=source, found=found, them=them, kind=kind, problems=problems)
    if len(problems) == 1:
        return RecipeError(Recipes.PROBLEM, source=source, found=found, problems=problems)
    return RecipeError(Recipes.PROBLEMS, source=source, found=found, problems=problems)


def _problems(items: Sequence[Any], model: type[Recipe]) -> list[Problem]:
    found: dict[KeyPath, Problem] = {}
    for item in items:
        path = tuple(str(part) for part in item["loc"][:2])
        found.setdefault(path, _problem(path, item, model))
    if names_recipes := [found[path] for path in _OF_MANY_RUNS if path in found]:
        return names_recipes  # it is no recipe: what else it has would be reported field by field
    return list(found.values())


def _problem(path: KeyPath, item: Any, model: type[Recipe]) -> Problem:
    specs = fields(model)
    if item["type"] == "extra_forbidden":
        return Problem.of(path, Fields.UNKNOWN, alternatives=_known_fields(path, model))
    spec = specs.get(".".join(path))
    if spec is None:
        return Problem.of(path, Fields.NO_SECTION, found=_found(item["input"]))
    found = "control characters" if item["type"] == "control_characters" else _found(item["input"])
    if path == ("model", "name") and isinstance(item["input"], str):
        name = item["input"]
        instead = alternatives("model", name, spec.choices)
        return Problem.of(path, Fields.UNKNOWN_MODEL, found=shortened(name), alternatives=instead)
    return Problem.of(path, Fields.INVALID, expected=spec.expected, found=found)


def _known_fields(path: KeyPath, model: type[Recipe]) -> str:
    """What to write in place of an unknown section or field: a field of another section may be meant."""
    if len(path) == 1:
        if path in _OF_MANY_RUNS:
            return "a file with it is a suite or a search: `medtui suite run FILE` or `medtui search FILE` starts it"
        return alternatives("section", path[0], list(section_titles(model)))
    specs = fields(model).values()
    if elsewhere := [spec.path for spec in specs if spec.name == path[1]]:
        return f"did you mean {' or '.join(elsewhere)}?"
    names = {spec.name: spec.path for spec in specs if spec.section == path[0]}
    found = suggestions("field", path[1], names)
    return alternatives("field", path[1], names if found else list(names))  # suggested as it is typed, listed in short


def _found(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, str):
        return f"the text {shortened(value)!r}"
    return shortened(repr(value))


# ---- values from several places ----------------------------------------------------------------------------------


ASSIGNMENT = re.compile(r"[\w-]+(\.[\w-]+)*=")  # how `training.lr=1e-3` begins; no path with folders does


def set_value(assignment: str) -> tuple[KeyPath, Any]:
    """`training.lr=1e-3` as (("training", "lr"), 0.001). Raises RecipeError."""
    name, equals, text = assignment.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or name.count(".") != 1:
        matching = [path for path, spec in fields().items() if spec.name == name]
        if not matching or not equals:
            raise RecipeError(Recipes.SET, found=shortened(assignment))
        instead = " or ".join(f"{path}={text.strip()}" for path in matching)
        raise RecipeError(Recipes.SET_WITHOUT_SECTION, found=shortened(assignment), instead=instead)
    section, field = name.split(".")
    quoted = re.fullmatch(r"\s*(['\"])(.*)\1\s*", text)
    return (section, field), quoted[2] if quoted else scalar(text.strip())


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Sections merged field by field; a later layer wins. What is no section stays, for the schema to refuse."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for section, values in layer.items():
            below = merged.get(section)
            merged[section] = {**below, **values} if isinstance(below, dict) and isinstance(values, dict) else values
    return merged


# ---- finding a recipe ---------------------------------------------------------------------------------------------


def _recipes_in(folder: Path) -> list[str]:
    try:
        files = sorted(folder.glob("*.y*ml")) if is_folder(folder) else []
        return [str(other) for other in files if not has_key(named_by_user(other), *_KEYS_OF_MANY_RUNS)]
    except OSError:  # a folder that may not be listed
        return []


def find_recipe(name: str) -> Path:
    """A recipe file by path or by a shipped recipe's name. Raises RecipeError."""
    shipped = shipped_recipes()
    path = expanded(name)
    if (there := path_status(path)).is_there:
        return path
    if name in shipped:
        return shipped[name]
    if there.trouble:
        raise RecipeError(Recipes.UNREADABLE, name=shortened(name, 200), why=there.why)
    if path.suffix.lower() not in (".yaml", ".yml") and (name.endswith("/") or not is_folder(path.parent)):
        raise RecipeError(Recipes.NO_FOLDER, found=shortened(name, 200))
    files = _recipes_in(path.parent)
    known = {one: one for one in (*shipped, *files)}
    if not files or path.parent == Path():
        known |= {one: f"--dataset {one}" for one in datasets() if one not in shipped}
    instead = alternatives("recipe", name, known, "{name} dataset.size={size}")
    raise RecipeError(Recipes.NOT_FOUND, found=shortened(name), alternatives=instead)


# ---- writing ------------------------------------------------------------------------------------------------------


def recipe_yaml(recipe: Recipe, heading: str = "", *, comments: bool = False) -> str:
    """The recipe as YAML with every field written out; loads back to an equal recipe."""
    lines = [f"# {line}" for line in heading.splitlines()]
    section = ""
    for spec in fields().values():
        if spec.section != section:
            section = spec.section
            lines += ([""] if lines else []) + [f"{section}:"]
        value = written(getattr(getattr(recipe, section), spec.name))
        comment = f"  # {spec.help}" + (f" ({spec.unit})" if spec.unit else "") if comments else ""
        lines.append(f"  {spec.name}: {value}{comment}")
    return "\n".join(lines) + "\n"
