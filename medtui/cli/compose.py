"""The recipe that a command line asks for: `--set` > flags > what the recipe writes > defaults.

With `--config FILE` the file overrides flags, as in the program whose flags these are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.contract.files.paths import absolute, expanded
from engine.contract.models.catalogue import model_spec
from engine.contract.recipe.reader import build_recipe, find_recipe, layered, recipe_error, set_value
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sections import normalised_name
from engine.contract.recipe.yaml_reader import KeyPath, YamlText, read_yaml_file, written
from engine.contract.sentences import Recipes, Yaml
from engine.contract.wire.errors import Problem, RecipeError
from engine.contract.wire.text import shortened
from medtui.client.named_source import OWN_SIZE, own_images_key

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


@dataclass(frozen=True)
class Layer:
    """The values of one source, by section and field."""

    source: Callable[[KeyPath], str]  # what gives a field, as a message names it: `--epochs`, `my.yaml`
    values: Mapping[str, Any]
    why: str = ""  # said where it wins over another source, if that is not plain


def compose(
    name: str | None, flags: Flags, assignments: list[str], *, file_wins: bool = False
) -> tuple[Recipe, list[str]]:
    """The recipe, and a warning for each value that lost to another one given for its field.

    Without a recipe the shipped `bloodmnist` is the base. `file_wins`: over flags, as with `--config`. What a flag
    changes in a recipe is what it is for, and no warning. Raises RecipeError.
    """
    own = own_images_recipe(name) if name else None
    text = own or _read_recipe(name or "bloodmnist")
    flag_layer = Layer(lambda path: FLAG_OF[".".join(path)], _sections(_fields_of(flags)))
    set_layers = [_assigned(one) for one in assignments]
    environment = {"runtime": {"reproducible": True}} if _docker_strict() else {}
    docker = Layer(lambda path: "DOCKER_REPRODUCIBILITY_MODE", environment)
    file = Layer(lambda path: text.source, text.values, "With --config the file overrides flags.")
    below, above = (flag_layer, file) if file_wins else (file, flag_layer)
    layers = [below, above, *set_layers, docker]
    layers += _from_scratch(layers, file)
    try:
        recipe = build_recipe(layered(*(one.values for one in layers)), source=text.source, lines=text.lines)
    except RecipeError as error:
        typed = {path: one.source(path) for one in layers for path in _paths(one.values)}
        given = {path: source for path, source in typed.items() if source != text.source}
        raise _blamed(error, text, given) from None
    return recipe, [*([described(recipe, text)] if own else []), *_overridden(layers, file, recipe)]


def _read_recipe(name: str) -> YamlText:
    """Of a file that is not called like a recipe it is not told in which line it is none. Raises RecipeError."""
    path = find_recipe(name)
    try:
        return read_yaml_file(path)
    except RecipeError as error:
        may_be_a_recipe = path.suffix.lower() in ("", *RECIPE_ENDINGS)
        if may_be_a_recipe or error.code in (Yaml.FOLDER.code, Yaml.UNREADABLE.code):
            raise
        raise RecipeError(Recipes.NO_RECIPE, found=shortened(name, 200)) from None


RECIPE_ENDINGS = (".yaml", ".yml", ".json")
OWN_DEFAULTS: dict[str, dict[str, Any]] = {
    "dataset": {"size": OWN_SIZE},
    "training": {"epochs": 30, "batch_size": 32, "lr": 0.004, "patience": 10},
}


def own_images_recipe(name: str) -> YamlText | None:
    """A recipe for the folder, table or .npz file that stands in a recipe's place; None for anything else.

    A shipped recipe's name means that recipe, whatever folder is called so here.
    """
    key = own_images_key(name)
    if key is None:
        return None
    return YamlText(name, layered({"dataset": {key: str(absolute(expanded(name)))}}, OWN_DEFAULTS), {})


def described(recipe: Recipe, text: YamlText) -> str:
    """What a run without a recipe does, in one line."""
    names = [("dataset", "size"), ("model", "name"), *(("training", name) for name in OWN_DEFAULTS["training"])]
    names += [("dataset", "val_fraction"), ("dataset", "test_fraction"), ("dataset", "fit")]
    shown = ", ".join(f"{one}.{two}={written(getattr(getattr(recipe, one), two))}" for one, two in names)
    return f"{text.source} without a recipe: {shown}. SECTION.FIELD=VALUE after its name sets any field."


def _from_scratch(layers: list[Layer], file: Layer) -> list[Layer]:
    """A model without published weights on the command line overrides the recipe's `pretrained: true`."""
    winner = {path: layer for layer in layers for path in _paths(layer.values)}
    name, pretrained = ("model", "name"), ("model", "pretrained")
    if winner.get(name, file) is file or winner.get(pretrained) is not file:
        return []
    spec = model_spec(str(normalised_name(winner[name].values["model"]["name"])))
    if spec is None or spec.has_weights or file.values["model"]["pretrained"] is not True:
        return []
    return [Layer(winner[name].source, {"model": {"pretrained": False}})]


def _assigned(assignment: str) -> Layer:
    """`section.field=value`, with `--set` before it or not: it is named as it was typed. Raises RecipeError."""
    return Layer(lambda path: shortened(assignment, 80), _sections(dict([set_value(assignment)])))


def _blamed(error: RecipeError, text: YamlText, given: Mapping[KeyPath, str]) -> RecipeError:
    """Each problem attributed to its source: a flag, `--set`, or the recipe, then with its line.

    A recipe that is valid by itself is never blamed: the conflicting value was given on the command line. What a
    problem is in conflict with is named with its place, and advice for the command line is in its spelling.
    """
    try:
        build_recipe(text.values, source=text.source, lines=text.lines)
        of_recipe = set()
    except RecipeError as own:
        of_recipe = {problem.path for problem in own.problems}
    flags = ", ".join(dict.fromkeys(given.values())) or text.source
    by_source: dict[str, list[Problem]] = {}
    for problem in error.problems:
        typed = [given[path] for path in (problem.path, *problem.others) if path in given]
        source = ", ".join(typed) or (text.source if problem.path in of_recipe else flags)
        kept = problem if source == text.source else _for_command_line(problem, text, given)
        by_source.setdefault(source, []).append(kept)
    errors = [recipe_error(source, problems) for source, problems in by_source.items()]
    if not errors:
        return error
    blamed = RecipeError.reported(errors[0].code, " ".join(one.message for one in errors), errors[0].hint)
    blamed.problems = error.problems
    return blamed


def _for_command_line(problem: Problem, text: YamlText, given: Mapping[KeyPath, str]) -> Problem:
    """`write `training.nesterov=false``, and at which line of the recipe the values stand that it conflicts with."""
    message = problem.typed.message
    fields = (problem.path, *problem.others) if problem.others else ()
    of_recipe = [path for path in fields if path in text.lines and path not in given]
    lines = {".".join(path): text.lines[path] for path in of_recipe}
    places = ", ".join(f"{name} at line {line}" for name, line in lines.items())
    return replace(problem, line=None, message=f"{message} ({text.source} has {places})" if places else message)


def _paths(sections: Mapping[str, Any]) -> set[KeyPath]:
    return {(section, field) for section, fields in sections.items() if isinstance(fields, dict) for field in fields}


def _docker_strict() -> bool:
    return os.environ.get("DOCKER_REPRODUCIBILITY_MODE", "").upper() == "TRUE"


def _sections(values: dict[tuple[str, ...], Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for (section, field), value in values.items():
        sections.setdefault(section, {})[field] = value
    return sections


def _fields_of(flags: Flags) -> dict[KeyPath, Any]:
    return {tuple(path.split(".")): value for path, value in flags.items()}


def _overridden(layers: list[Layer], file: Layer, recipe: Recipe) -> Iterator[str]:
    """Values given for a field that another source overrode, each with both sources."""
    winner = {path: layer for layer in layers for path in _paths(layer.values)}
    for layer in layers:
        if layer is file:
            continue
        for path in sorted(_paths(layer.values)):
            section, field = path
            lost, won = layer.values[section][field], getattr(getattr(recipe, section), field)
            if winner[path] is layer or won == lost or _same_model(path, lost, won):
                continue
            by, instead = winner[path].source(path), layer.source(path)
            warning = f"{section}.{field} is {written(won)} (from {by}), not {written(lost)} (from {instead})."
            yield f"{warning} {winner[path].why}".strip()


def _same_model(path: KeyPath, lost: Any, won: Any) -> bool:
    return path == ("model", "name") and normalised_name(lost) == won
