"""What somebody who does not look wants to know of a run: its end, a failure, an alarm, that it stalls. Once each."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

from engine.contract.wire.protocol import Alarm, Progress
from medtui.client.view import RunView
from medtui.settings import Occasion
from medtui.text import duration

STALLED = 10.0  # times the usual time of a step
SHORTEST = 30.0  # seconds: a checkpoint on a busy disk, or a machine that swaps, takes some
STEPS = 50  # progress reports, whose median pace is the usual one
FEWEST = 5  # of them
ASLEEP = 5.0  # seconds between two looks, after which it was this process that stood still


@dataclass(frozen=True)
class Occurrence:
    kind: Occasion
    key: str  # the same for everybody who follows the run
    text: str
    is_new: bool = True  # False: it had happened before we came


class Occurrences:
    """Asked again and again, with the newest view."""

    def __init__(self, *, shortest: float = SHORTEST) -> None:
        """`shortest`: seconds without a step that are never a stall."""
        self._reported: set[str] = set()
        self._pace = StepPace(shortest)
        self._caught_up = True
        self.stalled: float | None = None  # seconds without a step, while that is a stall

    def of(self, view: RunView, now: float) -> list[Occurrence]:
        """The new ones; none while the view replays what was before. `now`: seconds of a steady clock."""
        if view.catching_up:
            self._caught_up, self.stalled = False, None
            return []
        engine = view.state.hello.engine if view.state.hello is not None else "engine"
        found: list[tuple[Occasion, str, str]] = []
        if view.outcome is not None:
            kind: Occasion = "failure" if view.outcome in ("failed", "crashed") else "end"
            found.append((kind, "end", _describe_end(view)))
        alarms = [message for message in view.state.messages[-5:] if isinstance(message, Alarm)]
        found += [("alarm", f"alarm {alarm.seq}", f"{alarm.message} {alarm.hint}".strip()) for alarm in alarms]
        stall = self._pace.stall(view, now)
        self.stalled = stall.waited if stall is not None else None
        if stall is not None:
            found.append(("stall", f"stall {stall.done}", stall.text))
        is_new, self._caught_up = self._caught_up, True
        new = [
            Occurrence(kind, f"{engine} {key}", text, is_new)
            for kind, key, text in found
            if f"{engine} {key}" not in self._reported
        ]
        self._reported |= {occurrence.key for occurrence in new}
        return new


def _describe_end(view: RunView) -> str:
    finished = view.state.finished
    if finished is not None and finished.error is not None:
        return f"{finished.error.message} {finished.error.hint}".strip()
    return view.died or f"Run {view.run or ''} {view.outcome}."


@dataclass(frozen=True)
class Stall:
    done: int  # steps of the run
    waited: float  # seconds
    text: str


class StepPace:
    """Does training advance? By the engine's progress reports, in seconds of our own clock."""

    def __init__(self, shortest: float) -> None:
        self._shortest = shortest
        self._last: Progress | None = None
        self._step: Progress | None = None  # the last one between two steps
        self._advanced = 0.0  # when it last did
        self._asked = 0.0
        self._seconds: deque[float] = deque(maxlen=STEPS)  # per step

    def stall(self, view: RunView, now: float) -> Stall | None:
        """Too long without a step, while the run trains; the same until there is one."""
        progress, asleep, self._asked = view.progress, now - self._asked > ASLEEP, now
        if progress is None or not view.active or view.phase != "training" or view.unseen is not None:
            self._last = self._step = None
            return None
        if self._last is None or asleep or _position(progress) != _position(self._last):
            self._measure(progress, asleep=asleep)
            self._last, self._advanced = progress, now
            return None
        waited = now - self._advanced
        if len(self._seconds) < FEWEST or waited < max(self._shortest, STALLED * median(self._seconds)):
            return None
        usual = median(self._seconds)
        words = f"{usual:.2g} s" if usual < 10 else duration(usual)
        return Stall(progress.done, waited, f"No training step for {duration(waited)}; one usually takes {words}.")

    def _measure(self, progress: Progress, *, asleep: bool) -> None:
        """Reports of an attached run come once a second: short epochs lie between them, with their validations."""
        if progress.step is None:
            return
        before, self._step = self._step, progress
        if before is not None and not asleep and progress.done > before.done:
            self._seconds.append(max(0.0, progress.time - before.time) / (progress.done - before.done))


def _position(progress: Progress) -> tuple[object, ...]:
    """What changes with every step, and every batch that is validated."""
    return progress.phase, progress.epoch, progress.step, progress.done
