"""What is known of a suite before it starts: how many runs, how long, how much disk. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.contract.files.paths import is_folder
from engine.contract.machine.limits import disk_space
from engine.contract.models.catalogue import spec_of
from engine.contract.recipe.reader import recipe_from_values
from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.sources import data_source
from engine.contract.store.workspace import Workspace
from engine.contract.wire.text import format_bytes
from medtui.client.preflight import Paces, data_state
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
    missing: tuple[str, ...]  # what is wrong with data, a sentence per data set

    def sentences(self, slots: Slots) -> list[str]:
        if not self.to_do:
            return []
        return [f"time  {self._time(slots)}", f"disk  {self._disk()}", *(f"data  {words}" for words in self.missing)]

    def _time(self, slots: Slots) -> str:
        if self.seconds is None:
            return "unknown: there is no similar run in this workspace yet"
        about = f"about {duration(self.seconds / min(slots.count, self.to_do))}, by similar runs"
        runs = "1 run" if self.n_without_pace == 1 else f"{self.n_without_pace} runs"
        return f"{about}; unknown for {runs}, which no other run resembles" if self.n_without_pace else about

    def _disk(self) -> str:
        free = f"{format_bytes(self.free)} free" if self.free is not None else "free space unknown"
        if self.bytes is None:
            return f"unknown, as the size of a model is not known; {free}"
        short = ": not enough" if self.free is not None and self.free < self.bytes else ""
        return f"about {format_bytes(self.bytes)} of {free}{short}"


def describe_plan(
    plan: Plan, store: Store, slots: Slots, *, joins: bool = False, has_gpu: bool | None = None
) -> list[str]:
    """How many runs, hours and bytes it takes that are not done yet, before anything starts: a sentence each.

    `joins`: the suite keeps the other runs that it has. `has_gpu`: of the machine that trains; None: as this one has.
    Reads the runs of the workspace.
    """
    work, n = work_of(store), len(plan.items)
    done = _done(plan, store, work, bool(read_gpus().devices) if has_gpu is None else has_gpu)
    notes = [f"{plan.excluded} excluded"] * bool(plan.excluded) + [f"{plan.merged} alike"] * bool(plan.merged)
    notes += [f"{len(done)} done"] * bool(done)
    others = len(others_of(plan, work)) if joins else 0
    notes += [f"besides {others} that it has already"] * bool(others)
    left = f" ({', '.join(notes)})" if notes else ""
    changed = [] if joins else _describe_change(plan, work)
    open_ = [recipe for item, recipe in zip(plan.items, plan.recipes, strict=True) if item.id not in done]
    data = plan.items[0].data if plan.items else ()
    found = estimate(open_, store.workspace, data).sentences(slots)
    return [f"Suite {plan.name}: {n} run{'s' * (n != 1)}{left}, {slots}", *changed, *found]


def _done(plan: Plan, store: Store, work: Work, has_gpu: bool) -> set[str]:
    """Ids of the runs that are not trained: those of the suite that are completed, and those that were done before."""
    items = [work.items.get(item.id, item) for item in plan.items]
    done = {item.id for item in items if item.state == "completed"}
    if open_ := [item for item in items if item.state == "pending" and item.run is None]:
        known = KnownRuns(store.workspace.outputs, has_gpu=has_gpu)
        ends = [event for item in open_ if (event := known.ended(item)) is not None]
        done |= {event["id"] for event in ends if event["outcome"] == "completed"}
    return done


def _describe_change(plan: Plan, work: Work) -> list[str]:
    """That the suite of this name has other runs until now, by its file before an edit, or by another file."""
    now, before = {item.id for item in plan.items}, set(work.items)
    if not work.planned or now == before:
        return []
    stay, dropped, new = len(now & before), len(before - now), len(now - before)
    verb, are = "stay" + "s" * (stay == 1), "is" if dropped == 1 else "are"
    runs = f"{stay} of the {len(before)} planned runs {verb}, {dropped} {are} no longer planned"
    return [f"plan  changed: {runs}, {new} {'is' if new == 1 else 'are'} new"]


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
        words, good = data_state(recipe, source, workspace, data)
        if not good:
            found[f"{source.facts.label(recipe.dataset.size)}: {words}"] = None
    return list(found)
