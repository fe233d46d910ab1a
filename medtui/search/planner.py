"""What a search does next, for the runner: the next trial, whether a run is pruned, whether the budget is used up."""

from __future__ import annotations

from dataclasses import replace

from engine.contract.recipe.identity import recipe_hash
from engine.contract.recipe.reader import layered
from engine.contract.store.run_directory import RunDirectory, list_runs_and_manifests, mark_of
from engine.contract.store.run_record import own_recipe, read_run
from engine.contract.wire.errors import MedtuiError, RecipeError
from medtui.search.asking import ask, is_pruned
from medtui.search.definition import Search, item_id, number_of
from medtui.search.space import Values, in_sections
from medtui.search.trials import Trials, seed_of
from medtui.suites.journal import WorkJournal
from medtui.suites.store import Store
from medtui.suites.work import Event, Item, Work

MOST_FAILURES = 5  # failed trials in a row, after which no more are begun


class SearchPlanner:
    """A pure function of the journal and of the folders of the runs, but for what it has read already."""

    def __init__(self, search: Search, trials: Trials) -> None:
        self.search, self.trials = search, trials
        self._judged: dict[str, int] = {}  # by run: up to which epoch

    def is_over(self, work: Work) -> bool:
        file, trials = self.search.file, self.trials.of(work)
        if file.runs is not None and len(work.items) + len(self.search.seeds) > file.runs:
            return True
        if file.hours is not None and self.trials.seconds(work) >= file.hours * 3600:
            return True
        newest = trials[-MOST_FAILURES:]
        if len(newest) == MOST_FAILURES and all(trial.state == "failed" for trial in newest):
            return True
        return len(trials) >= self.search.most_trials

    def describe_end(self, work: Work) -> str:
        """That every choice was tried, once no run of them is left; else empty."""
        n = self.search.most_trials
        if len(self.trials.of(work)) < n or any(not item.over for item in work.items.values()):
            return ""
        return f"All {n:.0f} choices of its space were tried."

    def next_events(self, work: Work) -> list[Event]:
        if self.is_over(work):
            return []
        trials = self.trials.of(work)
        number = trials[-1].number + 1 if trials else 1
        values = ask(self.search, trials, number)
        try:
            return [_added(item) for item in self.search.items(number, values)]
        except RecipeError as error:  # of values that no recipe has together
            item = self._impossible(number, values)
            ended = {"event": "ended", "id": item.id, "outcome": "failed", "run": None, "detail": error.message}
            return [_added(item), ended]

    def _impossible(self, number: int, values: Values) -> Item:
        seed = self.search.seeds[0]
        given = in_sections({**values, "training.seed": seed, "evaluation.test": False})
        recipe = layered(self.search.base.model_dump(mode="json"), given)
        return Item(item_id(number, seed), f"trial {number}", recipe, self.search.folder)

    def judged(self, work: Work, item: Item, epochs: int | None) -> Event | None:
        before = self._judged.get(item.id, 0)
        if self.search.file.pruning == "none" or (epochs is not None and epochs <= before):
            return None
        curve, number = self.trials.curve(item), number_of(item)
        last, planned = max(curve, default=0), int(item.recipe["training"]["epochs"])
        others = [trial for trial in self.trials.of(work) if trial.number != number]
        for epoch in range(before + 1, min(last, planned - 1) + 1):
            so_far = {at: value for at, value in curve.items() if at <= epoch}
            if epoch in curve and is_pruned(self.search, others, seed_of(item), so_far):
                left = [one for one in work.items.values() if one.id != item.id and not one.over]
                same = [one.id for one in left if number_of(one) == number]
                return {"event": "pruned", "id": item.id, "epoch": epoch, "others": same}
        self._judged[item.id] = last
        return None


def _added(item: Item) -> Event:
    return {"event": "added", "item": item.values()}


def recover(search: Search, store: Store, journal: WorkJournal) -> int:
    """Where a search's journal was lost: its trials again, from the folders of their runs. How many runs.

    Raises OutputError.
    """
    planner = SearchPlanner(search, Trials(search, store.workspace))
    found = sorted(_runs_of(search, store), key=lambda one: number_of(one[0]))
    for number in dict.fromkeys(number_of(item) for item, _ in found):
        items = search.items(number, search.values_of(next(item for item, _ in found if number_of(item) == number)))
        runs = [(item, run) for item, run in found if number_of(item) == number]
        started = [{"event": "started", "id": item.id, "run": run.name} for item, run in runs]
        journal.write(*map(_added, items), *started)
        for item, run in runs:
            if item.id in journal.work.items:
                _settle(planner, journal, journal.work.items[item.id], run)
    return len(found)


def _settle(planner: SearchPlanner, journal: WorkJournal, item: Item, run: RunDirectory) -> None:
    if item.pruned is None and (event := planner.judged(journal.work, item, None)) is not None:
        journal.write(event)
    outcome = read_run(run).outcome
    if outcome in (None, "crashed"):
        journal.write({"event": "interrupted", "id": item.id, "at": None})
    else:
        journal.write({"event": "ended", "id": item.id, "outcome": outcome, "run": run.name})


def _runs_of(search: Search, store: Store) -> list[tuple[Item, RunDirectory]]:
    """Those that this search would have asked for: of each item the newest."""
    found: dict[str, tuple[Item, RunDirectory]] = {}
    for run, manifest in list_runs_and_manifests(store.workspace.outputs):
        owner, id_ = mark_of(manifest or {}) or ("", "")
        recipe = own_recipe(run) if owner == store.owner else None
        if recipe is None:
            continue
        item = replace(Item(id_, "", recipe.model_dump(mode="json")), run=run.name)
        try:
            same = search.recipe(search.values_of(item), seed_of(item))
            if recipe_hash(same) == recipe_hash(recipe) and number_of(item) > 0:
                found[id_] = (item, run)
        except (MedtuiError, ValueError):  # begun with another file
            continue
    return list(found.values())
