"""The recipe that a command line asks for, from `--set` > what the recipe writes > flags > defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.contract.errors import RecipeError
from engine.contract.recipe import Recipe, same_name
from engine.contract.recipe_conflicts import Problem
from engine.contract.recipe_file import build_recipe, find_recipe, layered, recipe_error, set_value
from engine.contract.yaml_reader import KeyPath, YamlText, read_yaml_file, written

Flags = dict[str, Any]  # what was given on the command line, by dotted recipe field
FLAG_OF = {  # dotted recipe field → the flag that gives it
    "dataset.name": "--dataset",
    "training.epochs": "--epochs",
    "training.batch_size": "--batch-size",
    "training.lr": "--lr",
    "training.seed": "--seed",
    "training.mixup_alpha": "--mixup-alpha",
    "training.patience": "--patience",
    "training.momentum": "--momentum",
    "training.weight_decay": "--weight-decay",
    "evaluation.tta": "--no-tta",
    "augmentation.hflip": "--hflip",
    "augmentation.rotation": "--rotation-angle",
    "augmentation.brightness": "--jitter-val",
    "augmentation.contrast": "--jitter-val",
    "model.name": "--model-name",
    "runtime.reproducible": "--reproducible",
    "runtime.allow_process_kill": "--allow-process-kill",
}


def compose(name: str | None, flags: Flags, assignments: list[str]) -> tuple[Recipe, list[str]]:
    """The recipe, and a warning for each flag that lost.

    Without a recipe the shipped `bloodmnist` is the base that flags change. Raises RecipeError.
    """
    text = read_yaml_file(find_recipe(name or "bloodmnist"))
    flag_layer = _sections({tuple(path.split(".")): value for path, value in flags.items()})
    set_layer = layered(*(_sections(dict([set_value(assignment)])) for assignment in assignments))
    environment = {"runtime": {"reproducible": True}} if _docker_strict() else {}
    below, above = (text.values, flag_layer) if name is None else (flag_layer, text.values)
    try:
        recipe = build_recipe(layered(below, above, set_layer, environment), source=text.source, lines=text.lines)
    except RecipeError as error:
        given = {path: FLAG_OF[".".join(path)] for path in _paths(flag_layer)}
        if name is not None:
            given = {path: flag for path, flag in given.items() if path not in _paths(text.values)}
        raise _blamed(error, text, given | dict.fromkeys(_paths(set_layer), "--set")) from None
    return recipe, _lost_flags(name, flags, recipe) if name else []


def _blamed(error: RecipeError, text: YamlText, given: Mapping[KeyPath, str]) -> RecipeError:
    """Each problem told of where it comes from: a flag, `--set`, or the recipe, whose line is named then.

    A recipe that is good by itself is blamed for nothing: what does not agree with it was given beside it.
    """
    try:
        build_recipe(text.values, source=text.source, lines=text.lines)
        of_recipe = set()
    except RecipeError as own:
        of_recipe = {problem.path for problem in own.problems}
    beside = ", ".join(dict.fromkeys(given.values())) or text.source
    told: dict[str, list[Problem]] = {}
    for problem in error.problems:
        source = given.get(problem.path) or (text.source if problem.path in of_recipe else beside)
        kept = problem if source == text.source else replace(problem, line=None)
        told.setdefault(source, []).append(kept)
    errors = [recipe_error(source, problems) for source, problems in told.items()]
    if not errors:
        return error
    return RecipeError(" ".join(one.message for one in errors), errors[0].hint, error.problems)


def _paths(sections: Mapping[str, Any]) -> set[KeyPath]:
    return {(section, field) for section, fields in sections.items() if isinstance(fields, dict) for field in fields}


def _docker_strict() -> bool:
    return os.environ.get("DOCKER_REPRODUCIBILITY_MODE", "").upper() == "TRUE"


def _sections(values: dict[tuple[str, ...], Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for (section, field), value in values.items():
        sections.setdefault(section, {})[field] = value
    return sections


def _lost_flags(name: str, flags: Flags, recipe: Recipe) -> list[str]:
    """The recipe wins over flags; each that lost to a different value is named."""
    warnings = []
    for path, value in flags.items():
        section, field = path.split(".")
        won = getattr(getattr(recipe, section), field)
        if won != value and not _same_model(path, value, won):
            warnings.append(f"{path} is {written(won)}, as {name} says, not {written(value)}, as the flag says.")
    return warnings


def _same_model(path: str, flag: Any, won: Any) -> bool:
    return path == "model.name" and same_name(flag) == won
