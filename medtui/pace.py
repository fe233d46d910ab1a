"""How long a run will still take."""

from __future__ import annotations

from collections import deque

ETA_AFTER = 10  # steps; before that a guess would mislead


class Eta:
    """Time left, from the pace of the last minute; None before there is a pace."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque(maxlen=300)

    def after(self, done: int, total: int, at: float) -> float | None:
        """`done` of `total` steps at time `at`; seconds."""
        self._seen.append((done, at))
        first_done, first_at = self._seen[0]
        if done - first_done < ETA_AFTER or at <= first_at:
            return None
        return (total - done) * (at - first_at) / (done - first_done)
