"""Is the engine of a run alive? What a person should read as the state of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from engine.contract.process_identity import ProcessIdentity
from engine.contract.status import Status

WATCHED_FOR = 15.0  # seconds without a new heartbeat, until an engine that cannot be seen from here counts as unseen

Liveness = Literal["alive", "gone", "looking", "unseen"]


def identity_of(status: Status) -> ProcessIdentity:
    return ProcessIdentity(status.pid, status.started, status.host, status.boot)


def is_alive(status: Status) -> bool | None:
    """None where it cannot be known: another host or boot."""
    return identity_of(status).is_alive()


class Heartbeat:
    """What one who keeps looking at a run's status knows of its engine.

    Here by pid and start time. Elsewhere (another host, boot or pid namespace): alive while the heartbeat changes,
    unseen when it has not for a while; never gone, for that cannot be known. The other host's clock does not matter.
    """

    def __init__(self, patience: float = WATCHED_FOR, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience, self._clock = patience, clock
        self._last: float | None = None
        self._changed_at = clock()
        self._seen_to_change = False

    def look(self, status: Status | None) -> Liveness:
        """`status`: None when there is none that can be read, which is no heartbeat either."""
        alive = is_alive(status) if status is not None else None
        if alive is not None:
            return "alive" if alive else "gone"
        if status is not None and status.updated != self._last:
            self._seen_to_change = self._last is not None
            self._last, self._changed_at = status.updated, self._clock()
        if self._clock() - self._changed_at > self._patience:
            return "unseen"
        return "alive" if self._seen_to_change else "looking"


def state_word(status: Status | None) -> str:
    """`completed`, `training`, `crashed`, or when it was last seen."""
    if status is None:
        return "unreadable"
    if status.outcome is not None:
        return status.outcome
    alive = is_alive(status)
    if alive is None:
        return unseen_words(status)
    return status.phase if alive else "crashed"


def unseen_words(status: Status) -> str:
    return f"not seen since {_clock(status.updated)}"


def _clock(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    except (OverflowError, ValueError, OSError):  # the file is anybody's
        return "an unreadable time"
