"""Slots: what the runner of a suite or queue, which owns a workspace, gives its engines; one engine each at a time.

An engine locks its slot, then looks at the workspace's lock: its runner must hold that still. Whoever takes the
workspace locks it, then looks at the slots. So whichever comes second sees the other, and an engine of a runner that
was killed keeps the workspace closed until it ends, or until a new runner of the same suite adopts it.

A scheduler's jobs have no runner, and may be on several hosts: an engine of theirs locks its run of the suite, or of
the search, alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from engine.contract.files.folders import Folder
from engine.contract.sentences import Lock
from engine.contract.store.lock import LOCK_FILE, RETRY, LockState, WorkspaceLock
from engine.contract.store.run_directory import SEARCHES, SUITES
from engine.contract.wire.errors import WorkspaceLocked
from engine.contract.wire.jobs import SuiteItem


def slot_lock_name(number: int) -> str:
    return f".medtui.slot-{number}.lock"


class SlotLock(WorkspaceLock):
    """The lock of an engine that a runner gave a slot, held as the workspace's is."""

    def __init__(self, outputs: Folder, number: int, owner: str, runner: str, engine: str | None = None) -> None:
        """`runner`: its id, by which it holds the workspace."""
        super().__init__(outputs.file(slot_lock_name(number)), engine, owner, number)
        self._runner = runner

    @property
    def control_name(self) -> str:
        return f".medtui.slot-{self._slot}.control.jsonl"

    def refuse_others(self) -> None:
        """Another runner, or none, may own the workspace by now. Raises WorkspaceLocked."""
        state = LockState.read(self.file.with_name(LOCK_FILE))
        if not state.is_of(self._runner):
            raise WorkspaceLocked(Lock.RUNNER_GONE, owner=self._owner, holder=state)


LOCKS = "locks"  # folder of a suite or search, with a lock for each of its runs that was a scheduler's job


class ItemLock(WorkspaceLock):
    """The lock of an engine that does one run of a suite or search in a scheduler's job.

    The scheduler runs a job once, and a run is submitted once; this is a second line of defence, and not the first one,
    as file systems of clusters are not all able to lock for several hosts.
    """

    def __init__(self, outputs: Folder, given: SuiteItem, engine: str | None = None) -> None:
        above = f"{SUITES}/{SEARCHES}" if given.search else SUITES
        file = outputs.file(f"{above}/{given.suite}/{LOCKS}/{given.item}.lock")
        super().__init__(file, engine, given.owner, slot=0)
        self._item = given.item

    @property
    def control_name(self) -> str:
        return f"{self._item}.control.jsonl"

    def acquire(self, patience: float = RETRY) -> None:
        """Raises WorkspaceLocked where another engine does the same run, or OutputError."""
        try:
            super().acquire(patience)
        except WorkspaceLocked as error:
            holder = LockState.read(self.file)
            if not holder.held:  # a file system that cannot lock
                raise error from None
            raise WorkspaceLocked(Lock.ITEM_HELD, owner=self._owner, holder=holder) from None

    def refuse_others(self) -> None:
        """Other jobs train in this workspace."""


def lock_of_job(outputs: Folder, manifest: Mapping[str, Any]) -> ItemLock | None:
    """The lock of a run that was a scheduler's job before, and may be one now; None of any other run."""
    mark = manifest.get("suite")
    owner, item = (mark.get("owner"), mark.get("item")) if isinstance(mark, dict) else (None, None)
    if not isinstance(owner, str) or not isinstance(item, str):
        return None
    kind, _, name = owner.partition(" ")
    if kind not in ("suite", "search"):  # the queue
        return None
    try:
        given = SuiteItem(suite=name, item=item, search=kind == "search")
    except ValidationError:  # no item
        return None
    lock = ItemLock(outputs, given)
    return lock if lock.file.is_regular else None
