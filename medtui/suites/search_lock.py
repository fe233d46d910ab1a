"""Who works on a search: a runner of this machine, or the coordinator that submits its runs to a scheduler.

A runner owns the workspace besides. A coordinator does not: whatever else its host does there may go on.
"""

from __future__ import annotations

from engine.contract.store.lock import RETRY, Holder, LockState, WorkspaceLock
from engine.contract.wire.errors import WorkspaceLocked
from medtui.sentences import Cluster
from medtui.suites.store import Store


class SearchLock(WorkspaceLock):
    """Held while a process works on a search, on whichever host."""

    def __init__(self, store: Store, worker: str) -> None:
        """`worker`: the id by which requests are addressed to it."""
        super().__init__(store.search_lock_file, worker, store.owner)
        self._store = store

    def acquire(self, patience: float = RETRY) -> None:
        """Raises WorkspaceLocked where another process works on the search, or OutputError."""
        try:
            super().acquire(patience)
        except WorkspaceLocked as error:
            store, holder = self._store, LockState.read(self.file).holder
            if holder is None:  # a file system that cannot lock, or a holder that cannot be read
                raise error from None
            where = {"pid": holder.pid, "host": holder.host, "since": holder.since_text}
            raise WorkspaceLocked(Cluster.COORDINATED, owner=store.owner, name=store.name, **where) from None

    def refuse_others(self) -> None:
        """What else there is in the workspace does not matter."""


def describe_coordinator(holder: Holder) -> str:
    return f"coordinator {holder.pid} on {holder.host}, since {holder.since_text}"
