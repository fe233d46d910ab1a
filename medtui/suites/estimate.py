"""What is known of a suite before it starts: how many runs, how long, how much disk. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.contract.files.paths import is_folder
from engine.contract.machine.limits import disk_space
from engine.contract.models.catalogue import spec_of
from engine.contract.recipe.reader import recipe_from_values
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sources import data_source
from engine.contract.store.workspace import Workspace
from engine.contract.wire.text import format_bytes
from medtui.client.preflight import Paces, data_found
from medtui.machine.gpu import read_gpus
from medtui.suites.known_runs import KnownRuns
from medtui.suites.plan import Plan
from medtui.suites.requests import others_of
from medtui.suites.settling import work_of
from medtui.suites.slots import Slots
from medtui.suites.store import Store
from medtui.suites.work import Item, Work
from medtui.text import duration

REPORT_BYTES = 8_000_000  # journal, tables, workbook, figures of a run
_PER_PARAMETER = 4  # bytes


@dataclass(frozen=True)
class Estimate:
    """None is unknown."""

    to_do: int  # runs that are not done yet
    seconds: float | None  # of the runs that have a pace, one after the other
    n_without_pace: int  # runs like which there is none
    bytes: int | None  # that all of them will hold
    free: int | None  # bytes
    missing: tuple[str, ...]  # what is wrong with data, or fetched first, a sentence per data set

    def sentences(self, slots: Slots) -> list[str]:
        if not self.to_do:
            return []
        return [f"time  {self._time(slots)}", f"disk  {self._disk()}", *(f"data  {words}" for words in self.missing)]

    def values(self, slots: Slots) -> dict[str, Any]:
        """For scripts."""
        seconds = self._seconds(slots) if self.to_do else 0.0
        known = {"to_do": self.to_do, "slots": slots.count, "seconds": seconds, "bytes": self.bytes, "free": self.free}
        return known | {"runs_without_pace": self.n_without_pace, "data": list(self.missing)}

    def _seconds(self, slots: Slots) -> float | None:
        return self.seconds / min(slots.count, self.to_do) if self.seconds is not None else None

    def _time(self, slots: Slots) -> str:
        if (seconds := self._seconds(slots)) is None:
            return "unknown: there is no similar run in this workspace yet"
        about = f"about {duration(seconds)}, by similar runs"
        runs = "1 run" if self.n_without_pace == 1 else f"{self.n_without_pace} runs"
        return f"{about}; unknown for {runs}, which no other run resembles" if self.n_without_pace else about

    def _disk(self) -> str:
        free = f"{format_bytes(self.free)} free" if self.free is not None else "free space unknown"
        if self.bytes is None:
            return f"unknown, as the size of a model is not known; {free}"
        short = ": not enough" if self.free is not None and self.free < self.bytes else ""
        return f"about {format_bytes(self.bytes)} of {free}{short}"


@dataclass(frozen=True)
class Preview:
    """What is known of a plan before anything starts."""

    plan: Plan
    slots: Slots
    done: frozenset[str]  # ids of the runs that are not trained
    others: int  # runs that the suite has already, and keeps
    changes: Changes | None
    estimate: Estimate

    def sentences(self) -> list[str]:
        plan, n = self.plan, len(self.plan.items)
        notes = [f"{plan.excluded} excluded"] * bool(plan.excluded) + [f"{plan.merged} alike"] * bool(plan.merged)
        notes += [f"{len(self.done)} done"] * bool(self.done)
        notes += [f"besides {self.others} that it has already"] * bool(self.others)
        left = f" ({', '.join(notes)})" if notes else ""
        first = f"Suite {plan.name}: {n} run{'s' * (n != 1)}{left}, {self.slots}"
        changed = [f"plan  changed: {self.changes}"] if self.changes is not None else []
        return [first, *changed, *self.estimate.sentences(self.slots)]

    def values(self) -> dict[str, Any]:
        """For scripts."""
        plan = self.plan
        counts = {"planned": len(plan.items), "done": len(self.done), "excluded": plan.excluded, "alike": plan.merged}
        runs = [
            {"id": one.id, "label": one.label, "done": one.id in self.done, "recipe": dict(one.recipe)}
            for one in plan.items
        ]
        changes = asdict(self.changes) if self.changes is not None else None
        known = {"name": plan.name, "counts": {**counts, "others": self.others}, "changes": changes}
        return known | self.estimate.values(self.slots) | {"runs": runs}


@dataclass(frozen=True)
class Changes:
    """How a plan differs from the one that it replaces."""

    before: int
    stay: int
    dropped: int
    new: int

    def __str__(self) -> str:
        stay = f"{self.stay} of the {self.before} planned runs stay{'s' * (self.stay == 1)}"
        dropped = f"{self.dropped} {_are(self.dropped)} no longer planned"
        return f"{stay}, {dropped}, {self.new} {_are(self.new)} new"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def preview(plan: Plan, store: Store, slots: Slots, *, joins: bool = False, has_gpu: bool | None = None) -> Preview:
    """How many runs, hours and bytes it takes that are not done yet.

    `joins`: the suite keeps the other runs that it has. `has_gpu`: of the machine that trains; None: as this one has.
    Reads the runs of the workspace.
    """
    work = work_of(store)
    done = _done(plan, store, work, bool(read_gpus().devices) if has_gpu is None else has_gpu)
    others = len(others_of(plan, work)) if joins else 0
    open_ = [recipe for item, recipe in zip(plan.items, plan.recipes, strict=True) if item.id not in done]
    data = plan.items[0].data if plan.items else ()
    found = estimate(open_, store.workspace, data)
    return Preview(plan, slots, frozenset(done), others, None if joins else _changes(plan, work), found)


def _done(plan: Plan, store: Store, work: Work, has_gpu: bool) -> set[str]:
    """Ids of the runs that are not trained: those of the suite that are completed, and those that were done before."""
    items = [work.items.get(item.id, item) for item in plan.items]
    done = {item.id for item in items if item.state == "completed"}
    if open_ := [item for item in items if item.state == "pending" and item.run is None]:
        known = KnownRuns(store.workspace.outputs, has_gpu=has_gpu)
        ends = [event for item in open_ if (event := known.ended(item)) is not None]
        done |= {event["id"] for event in ends if event["outcome"] == "completed"}
    return done


def _changes(plan: Plan, work: Work) -> Changes | None:
    """Of a suite that has other runs until now, by its file before an edit, or by another file of its name."""
    now, before = {item.id for item in plan.items}, set(work.items)
    if not work.planned or now == before:
        return None
    return Changes(len(before), len(now & before), len(before - now), len(now - before))


def describe_items(items: Sequence[Item], workspace: Workspace, slots: Slots) -> list[str]:
    """What these runs take, as a journal has them: a sentence each. Raises RecipeError."""
    recipes = [recipe_from_values(item.recipe) for item in items]
    return estimate(recipes, workspace, items[0].data if items else ()).sentences(slots)


def estimate(recipes: Sequence[Recipe], workspace: Workspace, data: Sequence[str]) -> Estimate:
    """Of the runs that are to be done. Reads the newest runs of the workspace."""
    paces = Paces(workspace)
    seconds = [paces.of(recipe)[0] for recipe in recipes]
    known = [one for one in seconds if one is not None]
    try:
        free = disk_space(workspace.outputs if is_folder(workspace.outputs) else workspace.root).bytes
    except OSError:
        free = None
    held = [run_bytes(recipe) for recipe in recipes]
    in_all = None if any(one is None for one in held) else sum(one or 0 for one in held)
    missing = tuple(_missing(recipes, workspace, data))
    return Estimate(len(recipes), sum(known) if known else None, len(seconds) - len(known), in_all, free, missing)


def run_bytes(recipe: Recipe) -> int | None:
    """What a completed run holds: the newest checkpoint, the best weights, its report."""
    parameters = spec_of(recipe.model.name).parameters_at(recipe.input_size)
    if parameters is None:
        return None
    copies = 2 + (recipe.training.optimizer == "adamw") + (recipe.training.ema_decay is not None)
    return (copies + 1) * parameters * _PER_PARAMETER + REPORT_BYTES


def _missing(recipes: Sequence[Recipe], workspace: Workspace, data: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for recipe in {recipe.dataset: recipe for recipe in recipes}.values():
        source = data_source(recipe.dataset)
        state = data_found(recipe, source, workspace, data)
        if not state.ok or state.is_fetched:
            found[f"{source.facts.label(recipe.dataset.size)}: {state.description}"] = None
    return list(found)
