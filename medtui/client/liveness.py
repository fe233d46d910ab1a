"""Is the engine of a run alive, as far as an observer can know?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.store.run_record import FRESH
from engine.contract.store.status import Status
from engine.contract.wire.protocol import Hello

HEARTBEAT_TIMEOUT = (
    FRESH  # seconds without a new heartbeat, until an engine that cannot be seen from here counts as unseen
)

Liveness = Literal["alive", "gone", "checking", "unseen"]


def identity_of(engine: Status | Hello) -> ProcessIdentity:
    """The process of an engine, as it identifies itself."""
    return ProcessIdentity(engine.pid, engine.started, engine.host, engine.boot)


def is_alive(status: Status) -> bool | None:
    """None where it cannot be known: another host or boot."""
    return identity_of(status).is_alive()


class Heartbeat:
    """What an observer of a run's status knows about its engine.

    Here by pid and start time. Elsewhere (another host, boot or pid namespace): alive while the heartbeat changes,
    unseen when it has not for a while; never gone, for that cannot be known. The other host's clock does not matter.
    """

    def __init__(self, patience: float = HEARTBEAT_TIMEOUT, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience, self._clock = patience, clock
        self._last: float | None = None
        self._changed_at = clock()
        self._seen_to_change = False

    def update(self, status: Status | None) -> Liveness:
        """`status`: None when none can be read, which counts as no heartbeat."""
        alive = is_alive(status) if status is not None else None
        if alive is not None:
            return "alive" if alive else "gone"
        if status is not None and status.updated != self._last:
            self._seen_to_change = self._last is not None
            self._last, self._changed_at = status.updated, self._clock()
        if self._clock() - self._changed_at > self._patience:
            return "unseen"
        return "alive" if self._seen_to_change else "checking"
