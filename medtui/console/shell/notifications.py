"""What the app derives from the run at each tick: notifications, the remaining time, whether the display is late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from medtui.eta import Eta

if TYPE_CHECKING:
    from medtui.client.view import RunView


BEHIND = 2.0  # seconds that a tick may be late before it is reported
SHOWN_FOR = 5.0  # seconds that the report of a late display stays

Severity = Literal["information", "error"]


class Notifications:
    """The end of a run, an alarm, an engine's death: once each, and the same text once."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    def of(self, view: RunView) -> list[tuple[str, Severity]]:
        """The new notifications of a view; none while it replays what happened before we attached."""
        if view.catching_up:
            return []
        found: list[tuple[str, str, Severity]] = []
        if view.outcome is not None:
            severity: Severity = "error" if view.outcome in ("failed", "crashed") else "information"
            found.append((f"end {view.outcome}", _describe_end(view), severity))
        alarms = [message for message in view.state.messages[-5:] if message.event == "alarm"]
        found += [(f"alarm {alarm.seq}", f"{alarm.message} {alarm.hint}", "error") for alarm in alarms]
        new: list[tuple[str, Severity]] = []
        for key, words, severity in found:
            if not {key, words} & self._reported:  # a failure raises an alarm before it ends the run
                new.append((words, severity))
            self._reported |= {key, words}
        return new


def _describe_end(view: RunView) -> str:
    finished = view.state.finished
    if finished is not None and finished.error is not None:
        return f"{finished.error.message} {finished.error.hint}"
    return view.died or f"Run {view.run or ''} {view.outcome}."


class Pace:
    """The remaining time of the run."""

    def __init__(self) -> None:
        self._eta = Eta()
        self._attempt: tuple[str | None, int] = (None, -1)
        self._left: float | None = None

    def left(self, view: RunView) -> float | None:
        """Seconds left; None before there is a pace. A resumed run has a separate pace."""
        progress, started = view.progress, view.state.started
        if progress is None or started is None or view.phase != "training":
            return None
        if progress.step is None:  # validating: what was left when it began
            return self._left
        attempt = (started.run, started.attempt)
        if attempt != self._attempt:
            self._eta, self._attempt = Eta(), attempt
        self._left = self._eta.after(progress.done, progress.total, view.state.summary.worked_at(progress.time))
        return self._left


class Link:
    """Does the terminal keep up? A loop that waits for its output ticks late."""

    def __init__(self, tick: float) -> None:
        self._tick = tick  # seconds between ticks
        self._last: float | None = None
        self._shown_until = 0.0
        self.words = "link ok"

    def ticked(self, now: float) -> str:
        """The text at a tick; a delay stays shown for a while."""
        late = 0.0 if self._last is None else now - self._last - self._tick
        self._last = now
        if late > BEHIND:
            self.words = f"display {late:.0f} s behind, training unaffected"
            self._shown_until = now + SHOWN_FOR
        elif now >= self._shown_until:
            self.words = "link ok"
        return self.words
