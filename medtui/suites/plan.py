"""From a suite's file to its runs: every combination, less what is excluded, each a valid recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from engine.contract.files.paths import caller_folder, path_status
from engine.contract.models.catalogue import model_spec
from engine.contract.recipe.identity import canonical_json, hash_of, identity, identity_values, recipe_hash
from engine.contract.recipe.reader import build_recipe, find_recipe, layered, recipe_error
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sections import normalised_name
from engine.contract.recipe.sources import facts_of
from engine.contract.recipe.yaml_reader import YamlText, read_yaml_file, written
from engine.contract.wire.errors import Problem, RecipeError
from medtui.sentences import SuiteFields
from medtui.suites.suite_file import RECIPE, Axes, Entry, SuiteFile
from medtui.suites.work import Item

MOST_RUNS = 10_000
SEED = "training.seed"
IN_LABEL = ("dataset.name", "dataset.folder", "dataset.npz", "dataset.csv", "dataset.size", "model.name", SEED)

Choice = dict[str, Any]  # a value for each axis, by its path


@dataclass(frozen=True)
class Plan:
    name: str
    items: tuple[Item, ...]
    recipes: tuple[Recipe, ...]  # of the items
    excluded: int = 0  # combinations
    merged: int = 0  # combinations that are the run of another one


def plan_of(suite: SuiteFile, data: Sequence[str] = (), *, offline: bool = False) -> Plan:
    """Raises RecipeError with every problem of every run."""
    choices, excluded = _choices(suite)
    builder = _Builder(suite)
    recipes = [recipe for choice, axes in choices if (recipe := builder.built(choice, axes)) is not None]
    builder.refuse_problems(len(choices))
    return planned(suite.name, recipes, data, offline=offline, excluded=excluded)


def planned(
    name: str,
    recipes: Iterable[Recipe],
    data: Sequence[str] = (),
    *,
    offline: bool = False,
    excluded: int = 0,
    named: Sequence[str] = (),
) -> Plan:
    """The runs of these recipes, each once. `named`: fields that every label has."""
    found = list(recipes)
    once = {recipe_hash(recipe): recipe for recipe in found}
    labels = labels_of(list(once.values()), named=named)
    folder = caller_folder()
    items = tuple(
        Item(key, label, recipe.model_dump(mode="json"), folder, tuple(data), offline)
        for (key, recipe), label in zip(once.items(), labels, strict=True)
    )
    return Plan(name, items, tuple(once.values()), excluded, len(found) - len(once))


def _choices(suite: SuiteFile) -> tuple[list[tuple[Choice, Axes]], int]:
    """Every combination that is not excluded, with the axes that it is of, and how many are. Raises RecipeError."""
    count = _size(suite.axes) + sum(_size({**suite.axes, **one.axes}) for one in suite.include)
    if count > MOST_RUNS:
        problem = Problem.of((), SuiteFields.TOO_MANY, limit=MOST_RUNS, found=count)
        raise recipe_error(suite.source, [problem], "suite")
    grid = list(_grid(suite.axes))
    unused = [entry for entry in suite.exclude if not any(_matches(entry, choice) for choice in grid)]
    if unused:
        problems = [Problem.of(("exclude",), SuiteFields.EXCLUDES_NOTHING, entry.line) for entry in unused]
        raise recipe_error(suite.source, problems, "suite")
    kept = [choice for choice in grid if not any(_matches(entry, choice) for entry in suite.exclude)]
    found = [(choice, suite.axes) for choice in kept]
    for entry in suite.include:
        axes = {**suite.axes, **entry.axes}
        found += [(choice, axes) for choice in _grid(axes)]
    if not found:
        raise recipe_error(suite.source, [Problem.of(("exclude",), SuiteFields.EXCLUDES_ALL)], "suite")
    return found, len(grid) - len(kept)


def _size(axes: Axes) -> int:
    size = 1
    for axis in axes.values():
        size *= len(axis.values)
    return size


def _grid(axes: Axes) -> Iterator[Choice]:
    """Seeds vary last, so that the first seed of everything comes first."""
    ordered = sorted(axes.values(), key=lambda axis: axis.path != SEED)
    for values in product(*(axis.values for axis in ordered)):
        yield dict(zip((axis.path for axis in ordered), values, strict=True))


def _matches(entry: Entry, choice: Choice) -> bool:
    return all(
        path in choice and any(_same(path, choice[path], value) for value in axis.values)
        for path, axis in entry.axes.items()
    )


def _same(path: str, one: Any, other: Any) -> bool:
    if path == "model.name":
        return bool(normalised_name(one) == normalised_name(other))
    return bool(one == other and isinstance(one, bool) == isinstance(other, bool))


@dataclass
class _Builder:
    """Makes recipes, and keeps every problem with the runs that have it."""

    suite: SuiteFile
    _texts: dict[str, YamlText] = field(default_factory=dict)
    _problems: dict[tuple[str, Problem], list[str]] = field(default_factory=dict)  # by source: the runs that have it

    def built(self, choice: Choice, axes: Axes) -> Recipe | None:
        text = self._text(str(choice[RECIPE]))
        values = _sections({path: value for path, value in choice.items() if path != RECIPE})
        values = layered(text.values, values, _from_scratch(text, choice))
        try:
            return build_recipe(values, source=text.source, lines=text.lines)
        except RecipeError as error:
            for problem in error.problems:
                self._note(problem, text, choice, axes)
            return None

    def _text(self, name: str) -> YamlText:
        if name not in self._texts:
            own = self.suite.folder / name
            self._texts[name] = read_yaml_file(own if path_status(own).is_there else find_recipe(name))
        return self._texts[name]

    def _note(self, problem: Problem, text: YamlText, choice: Choice, axes: Axes) -> None:
        """Blamed on the axis that gives the field; of a conflict with fields that the recipe has, on a varied one."""
        axis = axes.get(".".join(problem.path))
        if axis is None and not self._is_of(text, problem):
            axis = next((one for one in axes.values() if len(one.values) > 1 and one.path not in (RECIPE, SEED)), None)
        source = text.source if axis is None else self.suite.source
        noted = replace(problem, line=problem.line if axis is None else axis.line)
        varied = [axis for axis in axes.values() if len(axis.values) > 1]
        run = ", ".join(f"{one.path.removesuffix('.name')} {written(choice[one.path])}" for one in varied)
        self._problems.setdefault((source, noted), []).append(run)

    def _is_of(self, text: YamlText, problem: Problem) -> bool:
        """Has the recipe this problem by itself?"""
        try:
            build_recipe(text.values, source=text.source, lines=text.lines)
        except RecipeError as error:
            return problem.path in {one.path for one in error.problems}
        return False

    def refuse_problems(self, count: int) -> None:
        """Raises RecipeError, with each problem once and how many runs have it."""
        if not self._problems:
            return
        by_source: dict[str, list[Problem]] = {}
        for (source, problem), runs in self._problems.items():
            where = f" (in {len(runs)} of {count} runs, such as {runs[0]})" if runs[0] else ""
            by_source.setdefault(source, []).append(replace(problem, message=problem.message + where))
        errors = [recipe_error(source, problems) for source, problems in by_source.items()]
        error = RecipeError.reported(errors[0].code, " ".join(one.message for one in errors), errors[0].hint)
        error.problems = tuple(problem for one in errors for problem in one.problems)
        raise error


def _from_scratch(text: YamlText, choice: Choice) -> dict[str, Any]:
    """A model without published weights that the suite names overrides the recipe's `pretrained: true`."""
    own = text.values.get("model")
    asked = isinstance(own, dict) and own.get("pretrained") is True and "model.pretrained" not in choice
    spec = model_spec(str(normalised_name(choice.get("model.name", ""))))
    return {"model": {"pretrained": False}} if asked and spec is not None and not spec.has_weights else {}


def _sections(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        section, _, name = path.partition(".")
        sections.setdefault(section, {})[name] = value
    return sections


def suite_name(given: str | None, recipe: Recipe) -> str:
    """Of one recipe with several seeds: the same for the same recipe, whatever the seeds."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", Path(given).stem if given else facts_of(recipe.dataset).name).strip("-_")
    return f"{stem[:40] or 'run'}-{without_seed(recipe)[:6]}"


def without_seed(recipe: Recipe) -> str:
    """A hash of all of its identity but the seed: equal in the runs of a group."""
    return hash_of(canonical_json({path: value for path, value in identity(recipe).items() if path != SEED}))


# ---- labels -----------------------------------------------------------------------------------------------------


def labels_of(recipes: Sequence[Recipe], *, with_seed: bool = True, named: Sequence[str] = ()) -> list[str]:
    """What distinguishes each: `breastmnist, mini_cnn, lr 0.01, seed 1`. Without the seed: among those of its data.

    `named`: fields of an identity that are in each label, besides those in which the recipes differ.
    """
    values = [identity_values(recipe) for recipe in recipes]
    varied = [path for path in varied_paths(values) if with_seed or not path.startswith("dataset.")]
    varied += [path for path in dict.fromkeys(named) if path not in (*IN_LABEL, *varied)]
    return [_label(recipe, one, varied, with_seed) for recipe, one in zip(recipes, values, strict=True)]


def varied_paths(values: Sequence[Mapping[str, str]]) -> list[str]:
    """The identity fields in which recipes differ, but those that every label has."""
    paths = values[0] if values else {}
    return [path for path in paths if path not in IN_LABEL and len({one.get(path) for one in values}) > 1]


def _label(recipe: Recipe, values: Mapping[str, str], varied: Sequence[str], with_seed: bool) -> str:
    parts = [facts_of(recipe.dataset).label(recipe.dataset.size), recipe.model.name]
    parts += [f"{path.partition('.')[2]} {values[path]}" for path in varied if path in values]
    return ", ".join([*parts, f"seed {recipe.training.seed}"] if with_seed else parts)
