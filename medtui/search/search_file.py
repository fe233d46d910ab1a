"""A search's file: what may be chosen, by which objective, with which budget. Every problem is named with its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from engine.contract.recipe.names import suggestions
from engine.contract.recipe.reader import recipe_error
from engine.contract.recipe.schema import fields
from engine.contract.recipe.yaml_reader import FileKind, YamlText, read_yaml_file, written
from engine.contract.wire.monitor import Monitor
from engine.contract.wire.text import shortened
from medtui.search.space import NEVER, Choice, Parameter, Range, kind_of_numbers, why_not_searched
from medtui.sentences import SearchFields, SuiteFields
from medtui.suites.job_template import SECTION, JobTemplate, template_from
from medtui.suites.suite_file import RECIPE, Axes, AxesReader, distinct, field_path

SEED = "training.seed"
KEYS = ("name", "space", "objective", "epoch", "budget", "pruning", "sampler", "random_seed", SECTION)
# Trials that know of few others are worth more than many at once
TEMPLATE = JobTemplate(at_once=4)
Epoch = Literal["best", "last"]
Pruning = Literal["median", "none"]
Sampler = Literal["tpe", "random"]
MOST_RUNS = 10_000
MOST_HOURS = 100_000


@dataclass(frozen=True)
class SearchFile:
    name: str
    text: YamlText
    folder: Path  # that the recipe is looked for in first
    fixed: Axes  # one value each; the recipe among them
    seeds: tuple[int, ...]  # of each trial; empty: the recipe's own
    space: tuple[Parameter, ...]
    objective: Monitor | None  # of the validation split; None: the recipe's `monitor`
    epoch: Epoch
    runs: int | None  # at most so many, over all trials
    hours: float | None  # of training, over all runs, after which no trial is begun
    pruning: Pruning
    sampler: Sampler
    random_seed: int
    template: JobTemplate = TEMPLATE  # of its jobs, where they are a scheduler's


SEARCH = FileKind("a search", "space", "`medtui search run --help` tells what it may hold.")


def read_search(path: Path) -> SearchFile:
    """Raises RecipeError, with every problem found."""
    return search_from(read_yaml_file(path, SEARCH), path.stem, path.parent)


def search_from(text: YamlText, name: str, folder: Path) -> SearchFile:
    """`name`: where the text gives none. Raises RecipeError."""
    reader = _Reader(text.lines, "search", KEYS)
    own = {key: text.values[key] for key in KEYS if key in text.values}
    axes = reader.axes({key: value for key, value in text.values.items() if key not in own}, ())
    seeds = axes.pop(SEED, None)
    if RECIPE not in axes and not reader.problems:
        reader.add(("recipe",), SuiteFields.NO_RECIPE)
    for axis in axes.values():
        if len(axis.values) > 1:
            reader.add((axis.key,), SearchFields.ONE_VALUE)
    n_seeds = len(seeds.values) if seeds is not None else 1
    objective = reader.objective(own.get("objective"))
    reader.refuse_overridden(axes, objective)
    runs, hours = reader.budget(own.get("budget"), n_seeds)
    found = SearchFile(
        name=reader.name(own.get("name", name)),
        text=text,
        folder=folder,
        fixed=axes,
        seeds=seeds.values if seeds is not None else (),
        space=reader.space(own.get("space"), axes),
        objective=objective,
        epoch=reader.one_of("epoch", own.get("epoch", "best"), get_args(Epoch)),
        runs=runs,
        hours=hours,
        pruning=reader.one_of("pruning", own.get("pruning", "median"), get_args(Pruning)),
        sampler=reader.one_of("sampler", own.get("sampler", "tpe"), get_args(Sampler)),
        random_seed=reader.integer("random_seed", own.get("random_seed", 0)),
        template=template_from(own[SECTION], (SECTION,), reader.add, TEMPLATE) if SECTION in own else TEMPLATE,
    )
    if reader.problems:
        raise recipe_error(text.source, reader.problems, "search")
    return found


class _Reader(AxesReader):
    def one_of(self, key: str, value: Any, known: tuple[str, ...]) -> Any:
        if value not in known or not isinstance(value, str):
            meant = suggestions(key, value, known) if isinstance(value, str) else []
            instead = (
                f"; did you mean {' or '.join(meant)}?" if meant else ""
            )  # what else there is stands in `expected`
            found = shortened(repr(value))
            self.add((key,), SearchFields.CHOICE, expected=" or ".join(known), found=found, alternatives=instead)
        return value

    def integer(self, key: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            found, expected = shortened(repr(value)), "a whole number from 0"
            self.add((key,), SearchFields.CHOICE, expected=expected, found=found, alternatives="")
            return 0
        return value

    def objective(self, value: Any) -> Monitor | None:
        if value is None:
            return None
        known: dict[Any, Monitor] = {f"{prefix}{name}": name for name in get_args(Monitor) for prefix in ("", "val_")}
        if isinstance(value, str) and value in known:
            return known[value]
        *most, last = get_args(Monitor)
        expected = f"{', '.join(most)} or {last} of the validation split"
        self.add(("objective",), SearchFields.CHOICE, expected=expected, found=shortened(repr(value)), alternatives="")
        return None

    def refuse_overridden(self, fixed: Axes, objective: Monitor | None) -> None:
        """What a search decides itself may not be given another value, which would have no effect."""
        decided = {"evaluation.test": False} | ({"training.monitor": objective} if objective is not None else {})
        for path, value in decided.items():
            if path in fixed and fixed[path].values != (value,):
                self.add((fixed[path].key,), SearchFields.DECIDED, value=written(value), why=NEVER[path])

    def budget(self, value: Any, n_seeds: int) -> tuple[int | None, float | None]:
        """Runs and hours, of which at least one is given."""
        given: Mapping[Any, Any] = value if isinstance(value, dict) else {}
        runs, hours = given.get("runs"), given.get("hours")
        counted = runs is None or (isinstance(runs, int) and not isinstance(runs, bool) and 0 < runs <= MOST_RUNS)
        timed = hours is None or (
            isinstance(hours, int | float) and not isinstance(hours, bool) and 0 < hours <= MOST_HOURS
        )
        if not given or set(given) - {"runs", "hours"} or not counted or not timed or runs is hours is None:
            self.add(("budget",), SearchFields.BUDGET, found="none" if value is None else shortened(repr(value)))
            return None, None
        if runs is not None and runs < n_seeds:
            self.add(("budget",), SearchFields.TRIAL, seeds=n_seeds, found=runs)
        return runs, None if hours is None else float(hours)

    def space(self, value: Any, fixed: Axes) -> tuple[Parameter, ...]:
        if not isinstance(value, dict) or not value:
            self.add(("space",), SearchFields.NO_SPACE)
            return ()
        found: dict[str, Parameter] = {}
        for key, given in value.items():
            where, path = ("space", key), field_path(key)
            if path == RECIPE or path not in fields():
                self.unknown(where, key, nested=True)
            elif path in found or path in fixed:
                other = fixed[path].key if path in fixed else "another line"
                self.add(where, SuiteFields.TWICE, field=path, other=other)
            elif why := why_not_searched(path):
                self.add(where, SearchFields.NOT_SEARCHED, why=why)
            elif (parameter := self._parameter(key, path, given)) is not None:
                found[path] = parameter
        return tuple(found.values())

    def _parameter(self, key: str, path: str, given: Any) -> Parameter | None:
        if isinstance(given, dict):
            return self._range(key, path, given)
        if not isinstance(given, list) or any(isinstance(one, dict | list) for one in given):
            self.add(("space", key), SearchFields.NOT_A_RANGE, found=shortened(repr(given)))
            return None
        values = tuple(distinct(given))
        if len(values) < 2:
            self.add(("space", key), SearchFields.TOO_FEW)
            return None
        return Choice(path, values, self.line("space", key))

    def _range(self, key: str, path: str, given: dict[str, Any]) -> Range | None:
        where, kind = ("space", key), kind_of_numbers(path)
        low, high, log = given.get("from"), given.get("to"), given.get("log", False)
        numbers = [one for one in (low, high) if isinstance(one, int | float) and not isinstance(one, bool)]
        if kind is None:
            self.add(where, SearchFields.ONLY_VALUES)
        elif len(numbers) < 2 or not isinstance(log, bool) or set(given) - {"from", "to", "log"}:
            self.add(where, SearchFields.NOT_A_RANGE, found=shortened(repr(given)))
        elif kind == "integer" and not all(isinstance(one, int) for one in numbers):
            self.add(where, SearchFields.NOT_INTEGERS, found=f"{low} to {high}")
        elif not numbers[0] < numbers[1]:
            self.add(where, SearchFields.EMPTY, low=low, high=high)
        elif log and numbers[0] <= 0:
            self.add(where, SearchFields.LOG, low=low)
        else:
            first, last = numbers if kind == "integer" else map(float, numbers)
            return Range(path, first, last, log, kind == "integer", self.line(*where))
        return None
