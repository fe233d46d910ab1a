"""A search as its journal keeps it: what its file said, and the recipe that every trial is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.contract.files.paths import caller_folder
from engine.contract.recipe.identity import canonical_json, identity
from engine.contract.recipe.reader import build_recipe, layered, recipe_error, recipe_from_values
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.yaml_reader import YamlText, written
from engine.contract.wire.errors import Problem, RecipeError, UsageError
from engine.contract.wire.monitor import Monitor
from medtui.search.search_file import SearchFile, search_from
from medtui.search.space import Choice, Parameter, Values, in_sections, keys_of
from medtui.sentences import Searches
from medtui.suites.plan import plan_of
from medtui.suites.suite_file import SuiteFile
from medtui.suites.work import Event, Item, Work

Problems = dict[tuple[str, ...], Problem]  # by field


@dataclass(frozen=True)
class Search:
    file: SearchFile  # its choices as a recipe has them
    base: Recipe  # what a trial changes
    folder: str | None  # that relative paths are below
    data: tuple[str, ...] = ()
    offline: bool = False

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def objective(self) -> Monitor:
        return self.base.training.monitor

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.file.seeds or (self.base.training.seed,)

    @property
    def higher_is_better(self) -> bool:
        return self.objective != "loss"

    @property
    def most_trials(self) -> float:
        """Different ones that there can be."""
        size = 1.0
        for parameter in self.file.space:
            size *= parameter.size
        return size

    @property
    def most_runs(self) -> int | None:
        """By its budget, and by how many different trials there can be; None where neither limits them."""
        there_are = self.most_trials * len(self.seeds)
        most = min(there_are, self.file.runs) if self.file.runs is not None else there_are
        return None if math.isinf(most) else int(most)

    def recipe(self, values: Values, seed: int) -> Recipe:
        """Of one run of a trial, which does not evaluate the test split. Raises RecipeError."""
        given = in_sections({**values, "training.seed": seed, "evaluation.test": False})
        written_at = self.file.text.lines
        lines = {keys_of(one.path): one.line for one in self.file.space if one.line is not None}
        lines |= {keys_of("training.seed"): written_at[key,] for key in ("seeds", "seed") if (key,) in written_at}
        source = self.file.text.source
        return build_recipe(layered(self.base.model_dump(mode="json"), given), source=source, lines=lines)

    def values_of(self, item: Item) -> Values:
        """What was chosen for a run, read from its recipe."""
        return {one.path: item.recipe[keys_of(one.path)[0]][keys_of(one.path)[1]] for one in self.file.space}

    def has(self, item: Item) -> bool:
        """Is it a run as this search adds it? A journal may be damaged, or untrusted."""
        try:
            self.values_of(item)
            return number_of(item) > 0 and int(item.recipe["training"]["seed"]) >= 0
        except (KeyError, TypeError, ValueError):
            return False

    def items(self, number: int, values: Values) -> list[Item]:
        """The runs of a trial, one for each seed. Raises RecipeError."""
        shown = ", ".join(f"{path.partition('.')[2]} {written(value)}" for path, value in values.items())
        return [
            Item(
                item_id(number, seed),
                f"trial {number}: {shown}" + (f", seed {seed}" if len(self.seeds) > 1 else ""),
                self.recipe(values, seed).model_dump(mode="json"),
                self.folder,
                self.data,
                self.offline,
            )
            for seed in self.seeds
        ]

    def event(self) -> Event:
        """As the journal has it."""
        definition = {
            "source": self.file.text.source,
            "values": self.file.text.values,
            "base": self.base.model_dump(mode="json"),
            "folder": self.folder,
            "data": list(self.data),
            "offline": self.offline,
        }
        return {"event": "defined", "definition": definition}


def item_id(number: int, seed: int) -> str:
    return f"{number}-{seed}"


def number_of(item: Item) -> int:
    """Of the trial that a run is of. Raises ValueError."""
    return int(item.id.partition("-")[0])


def defined(file: SearchFile, data: tuple[str, ...] = (), *, offline: bool = False) -> Search:
    """The search of a file, its space checked. Raises RecipeError with every problem found."""
    suite = SuiteFile(file.name, file.text.source, file.folder, file.fixed)
    base = plan_of(suite).recipes[0]
    monitor = file.objective or base.training.monitor
    base = base.model_copy(update={"training": base.training.model_copy(update={"monitor": monitor})})
    search = Search(file, base, caller_folder(), data, offline)
    return replace(search, file=_checked(search))


def defined_before(work: Work, name: str) -> Search | None:
    """The search that a journal has; None where it has none. Raises RecipeError for one of another medtui."""
    found = work.definition
    try:
        text = YamlText(str(found["source"]), dict(found["values"]), {})
        base, folder, data = dict(found["base"]), found["folder"], tuple(map(str, found["data"]))
    except (KeyError, TypeError, ValueError):  # of a journal that is damaged
        return None
    file = search_from(text, name, Path())
    search = Search(file, recipe_from_values(base), folder, data, bool(found.get("offline")))
    return replace(search, file=_checked(search))


def refuse_other(search: Search, before: Search | None) -> None:
    """Trials are compared with those before: what they depend on must be the same. Raises UsageError."""
    if before is None:
        return
    for what, one, other in (
        ("space", _plain_space(search), _plain_space(before)),
        ("objective", (search.objective, search.file.epoch), (before.objective, before.file.epoch)),
        ("list of seeds", search.seeds, before.seeds),
        ("recipe", canonical_json(identity(search.base)), canonical_json(identity(before.base))),
        ("sampler", (search.file.sampler, search.file.random_seed), (before.file.sampler, before.file.random_seed)),
    ):
        if one != other:
            raise UsageError(Searches.OTHER, name=search.name, what=what)


def _plain_space(search: Search) -> list[Any]:
    return [replace(one, line=None) for one in search.file.space]


def _checked(search: Search) -> SearchFile:
    """The file, with each choice as a recipe has it. Raises RecipeError for values that no trial could have.

    Each value is tried with the first ones of all other fields; what two fields say against each other in a trial
    makes that trial fail.
    """
    space, seed, problems = search.file.space, search.seeds[0], Problems()
    first = {one.path: one.probes[0] for one in space}
    checked: list[Parameter] = []
    for one in space:
        tried = [_tried(search, {**first, one.path: value}, seed) for value in one.probes]
        _blame(one, [found for _, found in tried], problems)
        section, name = keys_of(one.path)
        made = tuple(recipe.model_dump(mode="json")[section][name] for recipe, _ in tried if recipe is not None)
        checked.append(replace(one, values=made) if isinstance(one, Choice) else one)
    for seed in search.seeds:
        problems = {**_tried(search, first, seed)[1], **problems}
    if problems:
        raise recipe_error(search.file.text.source, list(problems.values()))
    return replace(search.file, space=tuple(checked))


def _tried(search: Search, values: Values, seed: int) -> tuple[Recipe | None, Problems]:
    try:
        return search.recipe(values, seed), {}
    except RecipeError as error:
        return None, {problem.path: problem for problem in error.problems}


def _blame(one: Parameter, found: list[Problems], problems: Problems) -> None:
    """What some values of a field have and others not is to be said with that field's line."""
    of_all = set.intersection(*(set(each) for each in found))
    for path, problem in ((path, problem) for each in found for path, problem in each.items()):
        if path not in of_all:
            problems.setdefault(path, replace(problem, line=problem.line or one.line))
