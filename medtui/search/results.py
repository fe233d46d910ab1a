"""What a search has found: its trials as rows, and the best as a recipe with the evidence in its comments."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence

from engine.contract.recipe.reader import recipe_yaml
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.yaml_reader import written
from engine.contract.wire.monitor import NAMES
from engine.contract.wire.text import without_formula
from medtui.search.definition import Search
from medtui.search.trials import Trial, best_of
from medtui.suites.formats import mean_and_sd
from medtui.text import number

Value = str | int | float | None
COLUMNS = ("trial", "state", "n", "mean", "sd", "pruned_epoch", "seeds", "results", "runs")


def ranked(search: Search, trials: Sequence[Trial]) -> list[Trial]:
    """The best first; behind the completed ones those that were pruned, failed, and are not over."""
    best = best_of(search, trials)
    order = {"pruned": 0, "failed": 1, "open": 2, "completed": 3}
    others = [trial for trial in trials if trial.value is None]
    return [*best, *sorted(others, key=lambda trial: (order[trial.state], trial.number))]


def describe_objective(search: Search) -> str:
    """`validation AUC at the best epoch`."""
    return f"validation {NAMES[search.objective]} at the {search.file.epoch} epoch"


def describe_values(trial: Trial) -> str:
    return ", ".join(f"{path.partition('.')[2]} {written(value)}" for path, value in trial.values.items())


def describe_trials(trials: Sequence[Trial]) -> str:
    """`12 trials: 9 completed, 3 pruned`."""
    states = Counter(trial.state for trial in trials)
    counts = ", ".join(f"{count} {state}" for state, count in states.most_common())
    return f"{len(trials)} trial{'s' * (len(trials) != 1)}: {counts}" if trials else "no trials yet"


# ---- rows -----------------------------------------------------------------------------------------------------------


def row(trial: Trial) -> dict[str, Value]:
    """By `COLUMNS`, then the fields that were chosen; numbers in full, None where there is none."""
    found = trial.summary
    values: dict[str, Value] = {"trial": trial.number, "state": trial.state, "n": found.n}
    values |= {"mean": found.mean, "sd": found.sd}
    values["pruned_epoch"] = trial.pruned[1] if trial.pruned is not None else None
    values["seeds"] = " ".join(map(str, trial.results))
    values["results"] = " ".join(map(repr, trial.results.values()))
    values["runs"] = " ".join(item.run for item in trial.items if item.run is not None)
    return values | trial.values


def csv_of(search: Search, trials: Sequence[Trial]) -> str:
    columns = [*COLUMNS, *(one.path for one in search.file.space)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for trial in ranked(search, trials):
        values = row(trial)
        writer.writerow([_exported(values.get(column)) for column in columns])
    return text.getvalue()


def _exported(value: Value) -> str:
    if isinstance(value, str):
        return without_formula(value)
    return "" if value is None else written(value)


# ---- the best -------------------------------------------------------------------------------------------------------


def best_recipe(search: Search, best: Trial) -> Recipe:
    """As a trial of the search was, but that it evaluates the test split if the search's own recipe does."""
    made = search.recipe(best.values, search.seeds[0])
    evaluation = made.evaluation.model_copy(update={"test": search.base.evaluation.test})
    return made.model_copy(update={"evaluation": evaluation})


def best_text(search: Search, trials: Sequence[Trial], best: Trial) -> str:
    """The recipe file. `best`: the first of `best_of`."""
    seeds = ", ".join(f"{number(value)} (seed {seed})" for seed, value in best.results.items())
    lines = [
        f"The best of search {search.name}: trial {best.number} (of {describe_trials(trials)}).",
        f"Chosen by {describe_objective(search)}: {mean_and_sd(best.summary)}",
        f"  over {len(best.results)} seed{'s' * (len(best.results) != 1)}: {seeds}",
        *(f"  runs: {item.run}" for item in best.items),
    ]
    if len(rest := best_of(search, trials)) > 1:
        lines.append(
            f"The next best, trial {rest[1].number}: {mean_and_sd(rest[1].summary)}, {describe_values(rest[1])}"
        )
    lines.append("What was searched:")
    lines += [f"  {one.path}: {written(best.values[one.path])} (searched: {one})" for one in search.file.space]
    lines += [
        "The best of several values is an optimistic estimate. What the recipe is worth shows on the test split, which",
        "no trial has evaluated, with seeds that the search did not use.",
    ]
    return recipe_yaml(best_recipe(search, best), "\n".join(lines))
