"""Recipes from files, flags and `--set`, checked with every problem named; and recipes written out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.contract.errors import RecipeError
from engine.contract.recipe import Recipe
from engine.contract.recipe_conflicts import Problem, unknown_name
from engine.contract.recipe_schema import fields, section_titles
from engine.contract.yaml_reader import KeyPath, scalar, shortened, written

NAMED_PROBLEMS = 20  # in one sentence; all of them stay on the error


def build_recipe(
    values: Mapping[str, Any],
    *,
    source: str = "recipe",
    lines: Mapping[KeyPath, int] | None = None,
    model: type[Recipe] = Recipe,
) -> Recipe:
    """The recipe that these values make, defaults filled in. Raises RecipeError with every problem found."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = _problems(error, lines or {}, model)
    raise recipe_error(source, problems)


def recipe_error(source: str, problems: list[Problem]) -> RecipeError:
    """One error that names every problem, by line. `problems` stays on it, for a form to show beside its fields."""
    problems = sorted(problems, key=lambda problem: problem.line or math.inf)
    sentences = []
    for problem in problems[:NAMED_PROBLEMS]:
        line = f"line {problem.line}: " if problem.line else ""
        sentences.append(f"{line}{'.'.join(problem.path)} {problem.message}".replace(":  ", ": "))
    if len(problems) > NAMED_PROBLEMS:
        sentences.append(f"and {len(problems) - NAMED_PROBLEMS} more")
    told = "; ".join(sentences)
    end = "" if told.endswith("?") else "."
    return RecipeError(
        f"{source}: {told}{end}",
        "Correct each and try again; `medtui recipe schema` lists what every field may be.",
        problems,
    )


def _problems(error: ValidationError, lines: Mapping[KeyPath, int], model: type[Recipe]) -> list[Problem]:
    found: dict[KeyPath, Problem] = {}
    for item in error.errors(include_url=False):
        if item["type"] == "conflicts":
            for problem in item["ctx"]["problems"]:
                found[problem.path] = Problem(problem.path, problem.message, lines.get(problem.path))
            continue
        path = tuple(str(part) for part in item["loc"][:2])
        found.setdefault(path, Problem(path, _message(path, item, model), lines.get(path)))
    return list(found.values())


def _message(path: KeyPath, item: Any, model: type[Recipe]) -> str:
    specs = fields(model)
    if item["type"] == "extra_forbidden":
        known = (
            list(section_titles(model)) if len(path) == 1 else [s.name for s in specs.values() if s.section == path[0]]
        )
        if elsewhere := [s.section for s in specs.values() if len(path) == 2 and s.name == path[1]]:
            return f"is unknown; did you mean {' or '.join(f'{section}.{path[1]}' for section in elsewhere)}?"
        return "is unknown: " + unknown_name("section" if len(path) == 1 else "field", path[-1], known)
    spec = specs.get(".".join(path))
    if spec is None:
        return f"expected fields such as `training:` has, found {shortened(repr(item['input']))}"
    found = "control characters" if item["type"] == "control_characters" else _found(item["input"])
    if path == ("model", "name") and isinstance(item["input"], str):
        return unknown_name("model", item["input"], spec.choices)
    return f"expected {spec.expected}, found {found}"


def _found(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, str):
        return f"the text {shortened(value)!r}"
    return shortened(repr(value))


# ---- values from several places ----------------------------------------------------------------------------------


def set_value(assignment: str) -> tuple[KeyPath, Any]:
    """`training.lr=1e-3` as (("training", "lr"), 0.001). Raises RecipeError."""
    name, equals, text = assignment.partition("=")
    if not equals or name.count(".") != 1:
        raise RecipeError(
            f"--set: expected section.field=value, found {shortened(assignment)!r}.",
            "For example --set training.lr=0.01",
        )
    section, field = name.strip().split(".")
    quoted = re.fullmatch(r"\s*(['\"])(.*)\1\s*", text)
    return (section, field), quoted[2] if quoted else scalar(text.strip())


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Sections merged field by field; a later layer wins. What is no section stays, for the schema to refuse."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for section, values in layer.items():
            below = merged.get(section)
            both = isinstance(values, dict) and isinstance(below, dict)
            merged[section] = {**below, **values} if both and below is not None else values
    return merged


# ---- shipped recipes ----------------------------------------------------------------------------------------------


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = _shipped_folder()
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _shipped_folder() -> Path:
    """`recipes/` lies beside the packages in a checkout and inside `engine` in a wheel."""
    here = Path(__file__).resolve()
    packaged = here.parents[1] / "recipes"
    return packaged if packaged.is_dir() else here.parents[2] / "recipes"


def find_recipe(name: str) -> Path:
    """A recipe file by path or by a shipped recipe's name. Raises RecipeError."""
    shipped = shipped_recipes()
    try:
        path = Path(name).expanduser()
        if path.exists():
            return path
    except (OSError, RuntimeError, ValueError):  # too long for a file name, nobody's home, a NUL
        path = Path("recipe")
    if name in shipped:
        return shipped[name]
    known = [*shipped, *(str(other) for other in path.parent.glob("*.y*ml"))] if path.parent.is_dir() else list(shipped)
    raise RecipeError(
        f"Neither a file nor a shipped recipe: {unknown_name('recipe', name, known)}.".replace("?.", "?"),
        "`medtui recipe init my.yaml` writes one to start from.",
    )


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
