"""`RunFeed`: a run as it progresses, for every front end.

A source (the pipe of our engine, or the files of another's) gives lines, which are folded into a `RunView`: gaps are
filled from the journal, and the end is detected even where it was not reported. A front end polls it itself, or lets a
thread do so and reads `view`, a value, whenever it likes: ten thousand events are then one change on the screen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.errors import ABORTED, RunFailed
from engine.contract.wire.protocol import (
    AnyEvent,
    Diagnosis,
    EpochFinished,
    ErrorInfo,
    PhaseChanged,
    Progress,
    Resources,
    RunFinished,
    RunStarted,
)
from medtui.client.engine_death import Death
from medtui.client.engine_process import Line
from medtui.client.journal import without_gap
from medtui.client.sources import Source
from medtui.client.state import RunState, fold
from medtui.client.view import KEPT_POINTS, RunView
from medtui.sentences import EngineDeath


class RunFeed:
    """Polled by one thread; `view` may be read, and `change` called, by any."""

    def __init__(self, source: Source, view: RunView | None = None) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._view = view or RunView()
        self.death: Death | None = None  # of an engine that reported nothing

    @property
    def view(self) -> RunView:
        return self._view

    @property
    def over(self) -> bool:
        """Will nothing more come?"""
        return self.death is not None or self._source.is_over(self._view.state)

    def poll(self, timeout: float) -> Iterator[Line]:
        """What came since the last time, each when the view has it; waited for at most `timeout` seconds."""
        for number, line in enumerate(self._source.lines(timeout)):
            if number == 0:  # what the status says is known before a long journal is read
                self.change(self._source.seen)
            if line is None:
                self.change(lambda view: replace(view, state=RunState(), points=(), phases=()))
            else:
                self._take(*line)
                yield line
        self.change(self._source.seen)
        if self._view.state.finished is None and self.over:
            self._see_end(self._source.end(self._view.state))

    def refresh(self, timeout: float) -> None:
        """Poll, for whoever looks at the view only."""
        for _ in self.poll(timeout):
            pass

    def change(self, change: Callable[[RunView], RunView]) -> None:
        with self._lock:
            self._view = change(self._view)

    def final_event(self, run: RunDirectory | None = None) -> RunFinished:
        """How a run ended: as its engine reported, else as observed here, without `seq`.

        `run`: where it lies, if that may be elsewhere than its engine said.
        """
        state = self._view.state
        death = self.death or Death(EngineDeath.UNREPORTED)
        return state.finished or _crashed(state, death, run or state.run_directory)

    def _take(self, line: bytes, event: AnyEvent | None) -> None:
        if event is None:
            if line.strip() and not _is_object(line):
                self.change(lambda view: replace(view, noise=view.noise + 1))
            return
        if self._source.loses_events:
            self._fill_gap(event)
        self.change(lambda view: absorb(view, event))

    def _fill_gap(self, event: AnyEvent) -> None:
        state = without_gap(self._view.state, event)
        if state is not self._view.state:
            self.change(lambda view: replace(view, state=state, run=state.started.run if state.started else view.run))

    def _see_end(self, end: RunFinished | Death) -> None:
        if isinstance(end, Death):
            self.death = end
            self.change(lambda view: replace(view, died=str(end)))
        else:
            self.change(lambda view: replace(view, state=replace(view.state, finished=end)))


def absorb(view: RunView, event: AnyEvent) -> RunView:
    """The view after one more event. Pure; a gap in `seq` is filled by the caller."""
    if isinstance(event, Progress):
        trained = event if event.step is not None else view.trained
        return replace(view, progress=event, trained=trained, points=_with_point(view, event))
    if isinstance(event, Resources):
        return replace(view, resources=event)
    state = fold(view.state, event)
    return view if state is view.state else replace(view, state=state, **_changed_by(view, event))


def _changed_by(view: RunView, event: AnyEvent) -> dict[str, Any]:
    """What a state event changes besides the state."""
    if isinstance(event, PhaseChanged):
        return {"phases": (*view.phases, (event.phase, event.time))[-50:]}
    if isinstance(event, RunStarted):
        return {"run": event.run, "trained": None, "points": ()}
    if isinstance(event, EpochFinished):
        return {"points": tuple(point for point in view.points if point[0] > event.step)}
    return {"diagnosis": event.facts} if isinstance(event, Diagnosis) else {}


def _with_point(view: RunView, progress: Progress) -> tuple[tuple[int, float], ...]:
    started = view.state.started
    if started is None or progress.epoch is None or progress.step is None or progress.loss is None:
        return view.points
    step = (progress.epoch - 1) * started.steps_per_epoch + progress.step
    if view.points and view.points[-1][0] >= step:
        return view.points
    points = (*view.points, (step, progress.loss))
    return points if len(points) <= KEPT_POINTS else points[::2]


def _crashed(state: RunState, death: Death, run: RunDirectory | None) -> RunFinished:
    """The final event, made for an engine that could not send it."""
    last = f"Last output: {death.output[-500:]}" if death.output else ""
    resumed = state.started is not None and state.started.resumed_from is not None
    resumable = resumed or state.last_checkpoint is not None or (run is not None and run.last.is_regular)
    return RunFinished(
        time=time.time(),
        outcome="crashed",
        exit_code=ABORTED if resumable else RunFailed.exit_code,
        metrics={"validation": state.summary.validation, "test": state.summary.test},
        run_dir=str(run.root) if run is not None else None,
        error=ErrorInfo(kind="crashed", code=death.code, message=death.how, hint=f"{death.remedy} {last}".strip()),
    )


def _is_object(line: bytes) -> bool:
    """An event of a newer version, perhaps; not garbage."""
    return line.startswith(b'{"event"') and line.endswith(b"}")
