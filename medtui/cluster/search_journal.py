"""The journal of a search whose runs were submitted, as its only writer keeps it up to date.

A run is judged, and pruned, before what it came to is written: so it does not matter when a process looks.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.contract.store.run_directory import is_run
from engine.contract.store.run_record import read_run
from medtui.cluster.submit import queue_of
from medtui.suites.journal import WorkJournal
from medtui.suites.runner import Planner
from medtui.suites.settling import Queue, settled
from medtui.suites.store import Store, runs_of
from medtui.suites.work import Event, Item, Work

JUDGED = ("completed", "stopped")  # outcomes of runs whose epochs tell whether they are to be pruned
OnEvent = Callable[[Event, Item], None]


class SearchJournal:
    def __init__(
        self, store: Store, journal: WorkJournal, planner: Planner, on_event: OnEvent = lambda event, item: None
    ) -> None:
        self.journal = journal
        self._store, self._planner, self._on_event = store, planner, on_event

    @property
    def work(self) -> Work:
        return self.journal.work

    def settle(self) -> tuple[Queue | None, list[Item]]:
        """Write what became of submitted runs. The scheduler's answer, and the runs whose jobs it has no more although
        they did not end.

        Raises OutputError.
        """
        self.journal.refresh()
        queue, lost = queue_of(self.work), list[Item]()
        for event in settled(self._store, self.work, queue, submits=True):
            if event["event"] == "submitted":
                self.journal.write(event)
                continue
            item = self.work.items[event["id"]]
            self.record(event, item)
            if event["event"] in ("interrupted", "released") and item.job is not None:
                lost.append(item)
        return queue, lost

    def find_unrecorded(self) -> None:
        """Note runs whose jobs began, or even ended, while the command that submitted them was killed.

        Raises OutputError.
        """
        if not (waiting := [item for item in self.work.of("pending") if item.run is None]):
            return
        runs = runs_of(self._store)
        for item in waiting:
            if (run := runs.get(item.id)) is None or not is_run(run.root):
                continue
            self.record({"event": "located", "id": item.id, "run": run.name}, item)
            outcome = read_run(run).summary.outcome
            if outcome in (*JUDGED, "failed"):
                self.record({"event": "ended", "id": item.id, "outcome": outcome, "run": run.name}, item)

    def judge(self, item: Item, epochs: int | None) -> None:
        """Prune it, where its search decides so. `epochs`: how many it has, where that is known already."""
        item = self.work.items[item.id]
        if item.pruned is not None or item.run is None:
            return
        if (event := self._planner.judged(self.work, item, epochs)) is not None:
            self.record(event, item)

    def record(self, event: Event, item: Item) -> None:
        """Write an event of a run. Raises OutputError."""
        if event["event"] == "ended" and event["outcome"] in JUDGED:
            self.judge(item, None)
        self.journal.write(event)
        if (found := self.work.items.get(item.id)) is not None:
            self._on_event(event, found)
