"""Is the engine of a run alive? What a person should read as the state of a run."""

from __future__ import annotations

import time

from engine.contract.process_identity import ProcessIdentity
from engine.contract.status import Status


def is_alive(status: Status) -> bool | None:
    """None where it cannot be known: another host or boot."""
    return ProcessIdentity(status.pid, status.started, status.host, status.boot).is_alive()


def state_word(status: Status | None) -> str:
    """`completed`, `training`, `crashed`, or when it was last seen."""
    if status is None:
        return "unreadable"
    if status.outcome is not None:
        return status.outcome
    alive = is_alive(status)
    if alive is None:
        return f"not seen since {_clock(status.updated)}"
    return status.phase if alive else "crashed"


def _clock(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    except (OverflowError, ValueError, OSError):  # the file is anybody's
        return "an unreadable time"
