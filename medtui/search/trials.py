"""The trials of a search as its journal and the folders of its runs say: what was chosen, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from engine.contract.store.run_record import read_run
from engine.contract.store.workspace import Workspace
from engine.contract.wire.monitor import value_of
from engine.contract.wire.protocol import EpochFinished
from medtui.search.definition import Search, number_of
from medtui.search.space import Values
from medtui.suites.curves import epochs_of
from medtui.suites.statistics import Summary, summarise
from medtui.suites.store import run_directory
from medtui.suites.work import Item, Work

# open: its runs wait, live, or were ended on request and can be resumed
State = Literal["open", "completed", "pruned", "failed"]
Curve = dict[int, float]  # the objective by epoch, where it is defined


@dataclass(frozen=True)
class Trial:
    number: int  # from 1
    values: Values
    state: State
    results: dict[int, float] = field(default_factory=dict)  # the objective by seed, of runs that are completed
    curves: dict[int, Curve] = field(default_factory=dict)  # by seed
    pruned: tuple[int, int] | None = None  # the seed of the run that was judged, and the epoch
    items: tuple[Item, ...] = ()

    @property
    def summary(self) -> Summary:
        """Over its seeds."""
        return summarise(list(self.results.values()))

    @property
    def value(self) -> float | None:
        """What trials are compared by: the mean over its seeds. None before all of them are there."""
        return self.summary.mean if self.state == "completed" else None

    @property
    def judged_curve(self) -> Curve:
        """Of the run for which it was pruned, up to that epoch: what came after depends on when its engine heard."""
        if self.pruned is None:
            return {}
        seed, epoch = self.pruned
        return {at: value for at, value in self.curves.get(seed, {}).items() if at <= epoch}


class Trials:
    """Reads trials. What a run that is over has in its journal is kept, as it stays so."""

    def __init__(self, search: Search, workspace: Workspace) -> None:
        self._search, self._workspace = search, workspace
        self._kept: dict[str, list[EpochFinished]] = {}

    def of(self, work: Work) -> list[Trial]:
        """By number."""
        by_number: dict[int, list[Item]] = {}
        for item in work.items.values():
            if self._search.has(item):
                by_number.setdefault(number_of(item), []).append(item)
        return [self._trial(number, items) for number, items in sorted(by_number.items())]

    def curve(self, item: Item) -> Curve:
        """What a run has so far."""
        found = {one.epoch: value_of(one.validation, self._search.objective) for one in self.epochs(item)}
        return {epoch: value for epoch, value in found.items() if math.isfinite(value)}

    def seconds(self, work: Work) -> float:
        """That all runs worked so far."""
        runs = {item.run for item in work.items.values() if item.run is not None}
        return sum(read_run(run_directory(self._workspace, run)).summary.worked or 0.0 for run in runs)

    def epochs(self, item: Item) -> list[EpochFinished]:
        """That a run has in its journal."""
        if item.run is None:
            return []
        if item.run in self._kept:
            return self._kept[item.run]
        found = epochs_of(run_directory(self._workspace, item.run))
        if item.over:
            self._kept[item.run] = found
        return found

    def _trial(self, number: int, items: list[Item]) -> Trial:
        values = self._search.values_of(items[0])
        curves = {seed_of(item): curve for item in items if (curve := self.curve(item))}
        results = {seed_of(item): value for item in items if (value := self._result(item)) is not None}
        pruned = next(((seed_of(item), item.pruned) for item in items if item.pruned), None)
        return Trial(number, values, self._state(items, results), results, curves, pruned, tuple(items))

    def _state(self, items: list[Item], results: dict[int, float]) -> State:
        if any(item.pruned is not None for item in items):
            return "pruned"
        if any(item.state == "failed" for item in items):
            return "failed"
        if all(item.state == "completed" for item in items):
            return "completed" if len(results) == len(items) else "failed"  # the objective is undefined
        return "open"

    def _result(self, item: Item) -> float | None:
        """Of a completed run: at its best epoch by its own monitor, which is the objective, or at its last one.

        None of one that was pruned, even if its engine heard of it too late.
        """
        if item.state != "completed" or item.pruned is not None:
            return None
        epochs = self.epochs(item)
        if self._search.file.epoch == "best":
            epochs = [one for one in epochs if one.best]
        value = value_of(epochs[-1].validation, self._search.objective) if epochs else math.nan
        return value if math.isfinite(value) else None


def seed_of(item: Item) -> int:
    return int(item.recipe["training"]["seed"])


def best_of(search: Search, trials: Iterable[Trial]) -> list[Trial]:
    """Those that are completed, the best first; of equal ones the earlier."""
    done = [trial for trial in trials if trial.value is not None]
    sign = -1.0 if search.higher_is_better else 1.0
    return sorted(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
