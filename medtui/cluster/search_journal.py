"""The journal of a search whose runs were submitted, as its only writer keeps it up to date.

A run is judged, and pruned, before what it came to is written: so it does not matter when a process looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import is_run
from engine.contract.store.run_record import read_run
from engine.contract.store.slots import slot_lock_name
from engine.contract.wire.errors import WorkspaceLocked
from medtui.cluster.submit import queue_of
from medtui.sentences import Suites
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
        """Note what became of runs that a process had begun which was killed before it could note that itself.

        Of a coordinator those whose jobs began, or even ended, before it knew the jobs; of a runner of this machine
        those in its slots. Raises WorkspaceLocked while an engine of that runner lives, or OutputError.
        """
        in_slots = self.work.of("claimed", "running")
        self._refuse_living(in_slots)
        unknown = [item for item in self.work.of("pending") if item.run is None]
        if not in_slots and not unknown:
            return
        runs = runs_of(self._store)
        for item in (*in_slots, *unknown):
            run = runs.get(item.id)
            if run is not None and is_run(run.root):
                self.record({"event": "located", "id": item.id, "run": run.name}, item)
                outcome = read_run(run).summary.outcome
                if outcome in (*JUDGED, "failed"):
                    self.record({"event": "ended", "id": item.id, "outcome": outcome, "run": run.name}, item)
            if self.work.items[item.id].state in ("claimed", "running"):
                self.record({"event": "released", "id": item.id}, item)

    def _refuse_living(self, items: Sequence[Item]) -> None:
        """Raises WorkspaceLocked."""
        folder, owner = self._store.workspace.folder, self._store.owner
        for slot in sorted({item.slot for item in items if item.slot is not None}):
            holder = LockState.read(folder.file(slot_lock_name(slot))).holder
            if holder is not None and holder.owner == owner:
                raise WorkspaceLocked(Suites.HELD, owner=owner, holder=holder)

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
