"""What the app derives from the run at each tick: notifications, the remaining time, whether the display is late."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from medtui.eta import Eta

if TYPE_CHECKING:
    from medtui.client.away import Notifier
    from medtui.client.occurrences import Occurrence, Occurrences
    from medtui.client.view import RunView
    from medtui.settings import Away, Occasion


BEHIND = 2.0  # seconds that a tick may be late before it is reported
SHOWN_FOR = 5.0  # seconds that the report of a late display stays

Severity = Literal["information", "warning", "error"]
SEVERITIES: dict[Occasion, Severity] = {"end": "information", "failure": "error", "alarm": "error", "stall": "warning"}


class Notifications:
    """What happens to a run, for the screen: each text once, as a failure raises an alarm before it ends the run."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    def of(self, occurrences: list[Occurrence]) -> list[tuple[str, Severity]]:
        found: list[tuple[str, Severity]] = []
        for occurrence in occurrences:
            if occurrence.text not in self._reported:
                found.append((occurrence.text, SEVERITIES[occurrence.kind]))
            self._reported.add(occurrence.text)
        return found


class RunNotifier:
    """Reports what happens to the run that is shown; as the settings say, also to somebody who is away."""

    def __init__(
        self, away: Away, report: Callable[[RunView, str, Severity], None], warn: Callable[[str], None]
    ) -> None:
        """`report`: shows a text about the run. `warn`: shows that somebody away could not be told; from any thread."""
        self._away, self._report, self._warn = away, report, warn
        self._notifier: Notifier | None = None
        self.begin()

    def begin(self) -> None:
        """Another run is shown: nothing about it is reported yet."""
        self._texts = Notifications()
        self._occurrences: Occurrences | None = None

    def update(self, view: RunView) -> None:
        """Report what is new. Also called where nothing comes any more: that is a stall."""
        if self._occurrences is None:
            from medtui.client.occurrences import Occurrences

            self._occurrences = Occurrences()
        occurrences = self._occurrences.of(view, time.monotonic())
        if not occurrences:
            return
        if self._notifier is None:
            from medtui.client.away import Notifier

            self._notifier = Notifier(self._away, self._warn)
        for occurrence in occurrences:
            self._notifier.notify(occurrence, view)
        for text, severity in self._texts.of(occurrences):
            self._report(view, text, severity)

    @property
    def stalled(self) -> float | None:
        """Seconds without a step, while that is a stall."""
        return self._occurrences.stalled if self._occurrences is not None else None

    def close(self, patience: float) -> None:
        """Wait at most `patience` seconds for what is being delivered."""
        if self._notifier is not None:
            self._notifier.close(patience)


class Pace:
    """The remaining time of the run."""

    def __init__(self) -> None:
        self._eta = Eta()
        self._attempt: tuple[str | None, int] = (None, -1)
        self._left: float | None = None

    def left(self, view: RunView) -> float | None:
        """Seconds left; None before there is a pace. A resumed run has a separate pace."""
        progress, started = view.progress, view.state.started
        if progress is None or started is None or not view.active or view.phase != "training" or view.suspended:
            return None  # also of an engine that died while it trained
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
