"""What the Suites screen shows, read from files: every suite, one of them run by run, the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.contract.store.lock import Holder, LockState
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from medtui.suites.entries import distinguished
from medtui.suites.grid import Grid, grid_of
from medtui.suites.journal import WorkJournal
from medtui.suites.settling import settled, settled_here
from medtui.suites.status import ItemStatus, as_queued, status_of
from medtui.suites.store import QUEUE, Store, queue_of, suites_of
from medtui.suites.work import Event, Item, State, Work

SHOWN_ENDED = 10  # entries of the queue that ended, the newest
SETTLE_EVERY = 10.0  # seconds, for what became of runs that its journal does not say: manifests are read for that


@dataclass(frozen=True)
class SuiteLine:
    """A suite in the list."""

    name: str
    counts: Mapping[State, int]
    works: bool  # has it a runner?
    damaged: bool = False  # has its journal lines that cannot be read?

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    @property
    def is_complete(self) -> bool:
        return 0 < self.n == self.completed

    @property
    def completed(self) -> int:
        return self.counts.get("completed", 0)


@dataclass(frozen=True)
class ShownSuite:
    line: SuiteLine
    grid: Grid
    runs: Mapping[str, ItemStatus]  # by id
    runner: Holder | None
    scheduler: str | None = None  # that its jobs were given to


@dataclass(frozen=True)
class SuitesState:
    suites: tuple[SuiteLine, ...] = ()
    shown: ShownSuite | None = None
    queue: tuple[ItemStatus, ...] = ()  # what ended last, what runs, what waits in its order
    queue_runner: Holder | None = None
    problem: str = ""  # why it could not be read


@dataclass
class _Known:
    """Of one store: its journal so far, and what cannot change any more."""

    journal: WorkJournal
    ids: tuple[str, ...] = ()
    grid: Grid = field(default_factory=Grid)
    over: dict[str, ItemStatus] = field(default_factory=dict)  # of runs that are over, by id
    items: list[Item] = field(default_factory=list)  # as the journal had them when `became` was found
    became: list[Event] = field(default_factory=list)  # what became of them
    settled_at: float = 0.0


class SuitesReader:
    """Reads only what is new. One reading at a time, in whatever thread."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[str, _Known] = {}
        self._one = threading.Lock()

    def read(self, name: str | None) -> SuitesState:
        """`name`: the suite to show; where there is none such, the one that has a runner, else the first."""
        with self._one:
            try:
                return self._read(name)
            except MedtuiError as error:
                return SuitesState(problem=str(error))

    def _read(self, name: str | None) -> SuitesState:
        stores, state = suites_of(self._workspace), LockState.read(self._workspace.lock_file)
        runners = {store.name: store.runner_in(state) for store in stores}
        works = {store.name: self._work(store) for store in stores}
        lines = {
            name: SuiteLine(name, work.counts(), runners[name] is not None, bool(work.unreadable))
            for name, work in works.items()
        }
        if name not in lines:
            name = next((line.name for line in lines.values() if line.works), next(iter(lines), None))
        shown = self._shown(lines[name], works[name], runners[name]) if name is not None else None
        queue = queue_of(self._workspace)
        entries = in_order(self._work(queue)) if queue.journal_file.is_regular else []
        return SuitesState(
            tuple(lines.values()), shown, tuple(map(as_queued, self._statuses(QUEUE, entries))), queue.runner_in(state)
        )

    def _work(self, store: Store) -> Work:
        known = self._known.get(store.name)
        if known is None or known.journal.was_replaced:
            known = self._known[store.name] = _Known(store.journal())
        else:
            known.journal.refresh()
        return self._settled(store, known)

    def _settled(self, store: Store, known: _Known) -> Work:
        """With what became of its runs, as files say it: the scheduler is not asked every few seconds."""
        work = known.journal.work
        items = list(work.items.values())
        if items != known.items or time.monotonic() - known.settled_at > SETTLE_EVERY:
            known.items, known.became = items, [*settled(store, work, None), *settled_here(store, work)]
            known.settled_at = time.monotonic()
        shown = replace(work, items=dict(work.items))
        for event in known.became:
            shown.apply(event)
        return shown

    def _shown(self, line: SuiteLine, work: Work, runner: Holder | None) -> ShownSuite:
        known = self._known[line.name]
        items = list(work.items.values())
        ids = tuple(item.id for item in items)
        if ids != known.ids:
            known.ids, known.grid = ids, grid_of(items)
        runs = {one.item.id: one for one in self._statuses(line.name, items)}
        return ShownSuite(line, known.grid, runs, runner, work.scheduler)

    def _statuses(self, name: str, items: list[Item]) -> list[ItemStatus]:
        return [self._status(self._known[name].over, item) for item in items]

    def _status(self, over: dict[str, ItemStatus], item: Item) -> ItemStatus:
        """`over`: of runs that can change only by a retry, which makes another item of it."""
        status = over.get(item.id)
        if status is None or status.item != item:
            status = status_of(item, self._workspace)
            if item.over:
                over[item.id] = status
        return status


def in_order(work: Work) -> list[Item]:
    """Of the queue, told apart: what ended last, what runs, what waits."""
    ended = [item for item in work.items.values() if item.over]
    return distinguished([*ended[-SHOWN_ENDED:], *work.of("claimed", "running"), *work.of("pending")])
