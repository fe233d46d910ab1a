"""Estimate of the remaining time of a run."""

from __future__ import annotations

from collections import deque

ETA_AFTER = 10  # steps; an earlier estimate would mislead
ETA_WORK = 2.0  # seconds of work, likewise


class Eta:
    """Time left, from the pace of the last minute of work; None before there is a pace."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque(maxlen=300)

    def after(self, done: int, total: int, worked: float | None) -> float | None:
        """`done` of `total` steps after so many seconds of work, pauses left out; seconds."""
        if worked is None or done == 0:  # the first step includes setup
            return None
        self._seen.append((done, worked))
        first_done, first_worked = self._seen[0]
        if done - first_done < ETA_AFTER or worked - first_worked < ETA_WORK:
            return None
        return (total - done) * (worked - first_worked) / (done - first_done)
