"""What a published row needs: which runs there are, which are missing, whether their mean lies near enough. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine.contract.recipe.identity import resolved_hash
from engine.contract.recipe.names import alternatives
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.reproduction import TABLES, Target, recipe_for
from engine.contract.wire.errors import UsageError
from medtui.client.run_row import RunRow
from medtui.sentences import Reproducing


@dataclass(frozen=True)
class Planned:
    """One seed of a row: the run that has it, or None."""

    target: Target
    seed: int
    recipe: Recipe
    found: RunRow | None


@dataclass(frozen=True)
class Verdict:
    """One value of a row against the mean of its seeds."""

    target: Target
    metric: str  # AUC, ACC
    published: float
    tolerance: float
    values: tuple[float, ...]  # of the test split, one per seed

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def within(self) -> bool:
        """False where a value is undefined. Rounded like the table, whose values have three decimals."""
        return round(abs(self.mean - self.published), 6) <= self.tolerance


def targets(table: str, sets: Sequence[str]) -> list[Target]:
    """Rows of a table, of these data sets or all. Raises UsageError."""
    if table not in TABLES:
        raise UsageError(Reproducing.NO_TABLE, found=table, alternatives=alternatives("table", table, list(TABLES)))
    known = {target.dataset: target for target in TABLES[table]}
    for name in sets:
        if name not in known:
            raise UsageError(Reproducing.NO_ROW, table=table, found=name, known=", ".join(known))
    return [target for name, target in known.items() if not sets or name in sets]


def planned(rows: Iterable[Target], seeds: Sequence[int], runs: Sequence[RunRow]) -> list[Planned]:
    """Every seed of every row, with the run that has its result."""
    plan = []
    for target in rows:
        for seed in seeds:
            recipe = recipe_for(target, seed)
            plan.append(Planned(target, seed, recipe, found_run(recipe, target, runs)))
    return plan


def found_run(recipe: Recipe, target: Target, runs: Sequence[RunRow]) -> RunRow | None:
    """The newest completed run of the same experiment on the official images, whatever its recipe left to the machine.

    By the resolved hash that the recipe would have with what that run decided.
    """
    for run in reversed(runs):
        if run.state != "completed" or not run.comparable or run.test_auc is None or run.test_acc is None:
            continue
        if run.resolved is None or run.resolved_hash is None or run.resolved.data != target.data_md5:
            continue
        if run.resolved_hash == resolved_hash(recipe, run.resolved):
            return run
    return None


def verdicts(plan: Sequence[Planned]) -> list[Verdict]:
    """AUC and ACC of each row whose seeds all have a run."""
    found = []
    for target in dict.fromkeys(one.target for one in plan):
        runs = [one.found for one in plan if one.target == target]
        if not all(runs):
            continue
        published = target.published
        aucs = tuple(run.test_auc for run in runs if run is not None and run.test_auc is not None)
        accs = tuple(run.test_acc for run in runs if run is not None and run.test_acc is not None)
        if published.auc is not None:
            found.append(Verdict(target, "AUC", published.auc, target.auc_tolerance, aucs))
        found.append(Verdict(target, "ACC", published.acc, target.acc_tolerance, accs))
    return found
