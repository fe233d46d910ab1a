"""Where the events of a run come from: the pipe of an engine of our own, or the files of another's."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from engine.contract.machine.collection import without_collection
from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_record import RunRecord, format_last_seen, read_run
from engine.contract.store.status import WORKING, Status, read_status
from engine.contract.wire.errors import ABORTED, COMPLETED, STOPPED, RunFailed
from engine.contract.wire.protocol import Outcome, Progress, Resources, RunFinished, parse_event
from medtui.client.engine_death import Death
from medtui.client.engine_process import Line
from medtui.client.journal_tail import JournalTail
from medtui.client.liveness import Heartbeat, Liveness, identity_of
from medtui.client.state import RunState
from medtui.client.view import RunView
from medtui.sentences import EngineDeath
from medtui.text import clean

POLL = 0.25  # seconds between polls of the files of a run
PATIENCE = 10.0  # seconds for a process to exit after its final event
REPLACED = 2.0  # seconds within which a living engine has surely replaced its status
EXIT_CODES: dict[Outcome, int] = {
    "completed": COMPLETED,
    "stopped": STOPPED,
    "aborted": ABORTED,
    "failed": RunFailed.exit_code,
}


class Source(Protocol):
    """Read by one thread."""

    loses_events: bool  # may it leave some out? The journal has them then

    def lines(self, timeout: float) -> Iterator[Line | None]:
        """What came since the last time, waited for at most `timeout` seconds. None: it begins anew."""

    def seen(self, view: RunView) -> RunView:
        """The view, with what is known besides the events; also while the first of them are being read."""

    def is_over(self, state: RunState) -> bool:
        """Will nothing more come?"""

    def end(self, state: RunState) -> RunFinished | Death:
        """How a run ended that is over and did not say so itself: as its other files have it, or by its death."""


class OwnProcess(Protocol):
    """What is asked of `EngineProcess`."""

    @property
    def identity(self) -> ProcessIdentity: ...

    def receive(self, timeout: float) -> Line | None: ...

    def death(self, run: RunDirectory | None, patience: float) -> Death: ...


class EnginePipe:
    """The pipe of an engine that we started. Read to its end, it includes the final event."""

    loses_events = True

    def __init__(self, engine: OwnProcess) -> None:
        self._engine = engine
        self._over = False
        self._suspended = False  # asked only where it is silent

    def lines(self, timeout: float) -> Iterator[Line | None]:
        try:
            line = self._engine.receive(timeout)
        except queue.Empty:
            self._suspended = self._engine.identity.is_suspended()
            return
        self._suspended = False
        if line is None:
            self._over = True
        else:
            yield line

    def seen(self, view: RunView) -> RunView:
        return view if view.suspended == self._suspended else replace(view, suspended=self._suspended)

    def is_over(self, state: RunState) -> bool:
        return self._over

    def end(self, state: RunState) -> RunFinished | Death:
        return self._engine.death(state.run_directory, PATIENCE)


class RunFiles:
    """Journal and status of a run, of an engine anywhere. Snapshots come by the status, before the lines."""

    loses_events = False

    def __init__(self, run: RunDirectory, heartbeat: Heartbeat | None = None, *, from_end: bool = False) -> None:
        """`from_end`: only what is written from now on."""
        self._run = run
        self._journal = JournalTail(run.journal, from_end=from_end)
        self._heartbeat = heartbeat or Heartbeat()
        self._closed = threading.Event()
        self._caught_up = False  # the first poll is immediate
        self._readable_at = time.monotonic()
        self._engine: ProcessIdentity | None = None  # as it introduced itself in the journal
        self._reported: set[float] = set()  # times of the snapshots that were told last
        self.status: Status | None = None  # the newest
        self.liveness: Liveness = "checking"
        self._suspended = False
        self.unreadable = False  # the status is there, and for longer than an engine needs to replace it

    def lines(self, timeout: float) -> Iterator[Line | None]:
        if self._caught_up:
            self._closed.wait(timeout)
            yield from self._new()
        else:
            with without_collection():
                yield from self._new()
            self._caught_up = True

    def _new(self) -> Iterator[Line | None]:
        self._read_status()  # before the journal: of an engine that is gone the journal is whole
        yield from self._snapshots()
        for line in self._journal.fresh():
            if self._closed.is_set():
                return
            yield None if line is None else (line, parse_event(line))

    def seen(self, view: RunView) -> RunView:
        if view.state.hello is not None:
            self._engine = identity_of(view.state.hello)
        unseen, catching_up = self._unseen(), view.catching_up and not self._caught_up
        points = view.points
        if not points and not catching_up and self.status is not None:  # what was trained of this epoch before we came
            epochs = view.state.epochs  # the journal is read after the status, and may know the epoch's end
            done = epochs[-1].step if epochs else 0
            points = tuple((step, loss) for step, loss in self.status.curve if step > done)
        reported = self._phase_or_outcome() if catching_up or view.phase == "idle" else None
        lost = not catching_up and view.state.started is None and self.liveness == "alive" and reported in WORKING
        found: dict[str, Any] = {
            "unseen": unseen,
            "points": points,
            "catching_up": catching_up,
            "reported": reported,
            "suspended": self._suspended,
            "events_lost": lost,
        }
        return view if all(getattr(view, name) == value for name, value in found.items()) else replace(view, **found)

    def _phase_or_outcome(self) -> str | None:
        """As the status has it; the phase of an engine that is gone says nothing."""
        status = self.status
        if status is None:
            return None
        return status.outcome or (None if self.liveness == "gone" else status.phase)

    def is_over(self, state: RunState) -> bool:
        if state.finished is None:
            return self.liveness == "gone"
        # an engine that lives and has not ended: a new attempt begins
        return not (self.status is not None and self.status.outcome is None and self.liveness == "alive")

    def end(self, state: RunState) -> RunFinished | Death:
        record = read_run(self._run)
        found = record.summary
        if found.outcome is None or found.outcome == "crashed":
            return _unreported(record)
        return RunFinished(
            time=time.time(),
            outcome=found.outcome,
            exit_code=EXIT_CODES[found.outcome],
            metrics={"validation": found.validation, "test": found.test},
            run_dir=str(self._run.root),
        )

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def close(self) -> None:
        """No more lines come; whoever waits for them does not wait on."""
        self._closed.set()

    def _read_status(self) -> None:
        there = self._run.status.is_there
        status = read_status(self._run)
        self.liveness = self._heartbeat.update(status)
        if status is None and self._engine is not None and self._engine.is_alive() is False:
            self.liveness = "gone"
        self._suspended = self.liveness == "alive" and status is not None and identity_of(status).is_suspended()
        now = time.monotonic()
        if status is not None or not there:
            self._readable_at = now
        self.unreadable = now - self._readable_at > REPLACED
        self.status = status or self.status

    def _snapshots(self) -> Iterator[Line]:
        found: list[Progress | Resources | None] = []
        if self.status is not None:
            found = [self.status.progress, self.status.resources]
        new = [one for one in found if one is not None]
        for one in new:
            if one.time not in self._reported:
                yield one.line().rstrip(b"\n"), one
        self._reported = {one.time for one in new}

    def _unseen(self) -> str | None:
        if self.liveness != "unseen":
            return None
        return format_last_seen(self.status.updated) if self.status is not None else "never seen"


def _unreported(record: RunRecord) -> Death:
    """By whom it was killed, if somebody did so on request."""
    by = record.killed_by
    return Death(EngineDeath.UNREPORTED) if by is None else Death(EngineDeath.KILLED_ON_REQUEST, by=clean(by, 80))
