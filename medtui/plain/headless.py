"""`medtui run` without a console: starts an engine, shows its progress, exits with the exit code of its run."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from shlex import quote
from types import FrameType
from typing import Protocol

from engine.contract.machine.scheduler import WARNINGS, meaning_of
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError, WorkspaceLocked
from engine.contract.wire.jobs import Start
from engine.contract.wire.protocol import (
    Abort,
    AnyEvent,
    ErrorInfo,
    PhaseChanged,
    Progress,
    RunFinished,
    SaveCheckpoint,
    Stop,
)
from medtui.client.engine_process import EngineProcess
from medtui.client.escalation import Escalator, steps_taken
from medtui.client.escalation_steps import format_step
from medtui.client.feed import RunFeed
from medtui.client.sources import EnginePipe
from medtui.client.state import RunState
from medtui.client.trackers import RunTrackers
from medtui.client.view import RunView
from medtui.machine.orphans import end_orphan, find_orphans
from medtui.output import print_error, print_json_line
from medtui.plain.notifications import NO_NOTIFICATIONS, RunNotifications
from medtui.sentences import CommandLine
from medtui.text import checked_line

SAME_PRESS = 0.25  # seconds; one SIGINT may come to the process and to its group
REFRESH = 0.1  # seconds between polls of signals and progress
WAIT_POLL = 0.5  # seconds between polls of a lock that is waited for
PATIENCE = 10.0  # seconds for the process to exit after its final event


class Display(Protocol):
    """A way to show a run."""

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None: ...

    def progress(self, progress: Progress, state: RunState) -> None: ...

    def note(self, text: str) -> None: ...

    def end(self, finished: RunFinished, state: RunState) -> None: ...


class Interrupts:
    """Ctrl-C once stops, twice aborts, three times kills; a scheduler's warning aborts, or saves. Handlers only count.

    `timeout` and `scancel` signal a process and its group: what comes again within a moment is the same request.
    """

    def __init__(self) -> None:
        self.level = 0
        self.handled = 0  # the level that was acted upon
        self.checkpoints = 0  # asked for by a scheduler that suspends
        self.warning = ""  # the signal that asked for the end
        self._last = -math.inf  # SIGINT

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            now = time.monotonic()
            if self.level == self.handled or now - self._last > SAME_PRESS:
                self.level += 1
            self._last = now
        elif meaning_of(number) == "checkpoint":
            self.checkpoints += 1
        elif self.level < 2:
            self.level, self.warning = 2, signal.Signals(number).name

    def next(self) -> int:
        """The step to take: one at a time, but abort at once where a scheduler warns."""
        self.handled = 2 if self.warning and self.handled < 2 else self.handled + 1
        return self.handled


def run_headless(
    start: Start,
    workspace: Workspace,
    display: Display,
    *,
    wait: bool = False,
    detach: bool = False,
    notifications: RunNotifications = NO_NOTIFICATIONS,
) -> int:
    """Do one job in a separate engine and show it. Returns the exit code.

    `wait` until nobody holds the workspace; `detach` returns when the run has started, and leaves it running.
    Raises OutputError for a workspace that is not waited for.
    """
    with counted_signals() as interrupts:
        if wait:
            workspace.make_outputs()  # without write permission, waiting is pointless
        while True:
            if wait and not _wait_until_free(workspace, interrupts, display):
                return _show_final_event(refusal_event(_interrupted_wait(workspace)), RunState(), display)
            shown = DeferredDisplay(display) if wait else display
            outcome = _run_once(start, workspace, shown, interrupts, notifications, detach=detach)
            if outcome is not None:
                return outcome


def end_orphans(workspace: Workspace, display: Display) -> None:
    """End orphaned engines of this workspace and report it; on a cluster report that they are left alone."""
    for orphan in find_orphans(workspace):
        display.note(f"Orphaned engine of a closed console: {end_orphan(orphan, workspace)}.")


def _run_once(
    start: Start,
    workspace: Workspace,
    display: Display,
    interrupts: Interrupts,
    notifications: RunNotifications,
    *,
    detach: bool,
) -> int | None:
    """The exit code; None when the lock was lost to another waiting process."""
    engine = EngineProcess(workspace)
    try:
        engine.send(start)
    except BaseException:
        engine.kill()
        raise
    feed, trackers = RunFeed(EnginePipe(engine), RunView(asked_to_start=True)), RunTrackers(start, workspace)
    _follow(engine, feed, workspace, interrupts, display, notifications, trackers, until_started=detach)
    state = feed.view.state
    if detach and state.finished is None and state.started is not None:
        _note_how_to_reattach(state, display)
        return 0
    engine.wait(PATIENCE)
    if isinstance(display, DeferredDisplay) and display.lost(state.finished):
        return None
    notifications.poll(feed.view)
    code, level = show_end(feed, display), interrupts.level
    trackers.wait(display.note, lambda: interrupts.level > level)
    return code


def show_end(feed: RunFeed, display: Display, run: RunDirectory | None = None) -> int:
    """Show the final event of a run and its results. Returns its exit code. `run`: where it is."""
    finished = feed.final_event(run)
    if finished.seq is None:  # made here, so not shown yet
        display.event(finished.line().rstrip(b"\n"), finished, feed.view.state)
    if run is not None:
        finished = finished.model_copy(update={"run_dir": str(run.root)})
    display.end(finished, feed.view.state)
    return finished.exit_code


@contextmanager
def counted_signals() -> Iterator[Interrupts]:
    interrupts = Interrupts()
    numbers = (signal.SIGINT, *WARNINGS)
    before = {number: signal.signal(number, interrupts) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(
    engine: EngineProcess,
    feed: RunFeed,
    workspace: Workspace,
    interrupts: Interrupts,
    display: Display,
    notifications: RunNotifications,
    trackers: RunTrackers,
    *,
    until_started: bool,
) -> None:
    """Show what comes until the run is over, or has started."""
    saved = 0
    while not feed.over and not (until_started and feed.view.state.started is not None):
        if interrupts.handled < interrupts.level:
            _interrupt(engine, workspace, interrupts.next(), feed.view.state, display, interrupts.warning)
        if saved < interrupts.checkpoints:
            saved = interrupts.checkpoints
            engine.send(SaveCheckpoint(id=f"save-{saved}", by="SIGUSR1"))
        for line, event in feed.poll(REFRESH):
            display.event(line, event, feed.view.state)
            if isinstance(event, Progress):
                display.progress(event, feed.view.state)
        trackers.poll(feed.view.state)
        if feed.view.outcome is None:  # whether a final event is this run's is decided by the caller
            notifications.poll(feed.view)


def _interrupt(
    engine: EngineProcess, workspace: Workspace, step: int, state: RunState, display: Display, warning: str
) -> None:
    """The steps of Ctrl-C: stop, abort, kill. `warning`: the signal that asked for abort, where it was one."""
    id_ = f"{(warning or 'ctrl-c').lower()}-{step}"
    if step == 1 and state.started is None:
        display.note("Aborting: nothing is trained yet, so nothing is kept. A third Ctrl-C kills the engine.")
        engine.send(Stop(id=id_, by="Ctrl-C"))
    elif step == 1:
        display.note("Stopping after this batch; the best weights will be evaluated. Ctrl-C again aborts.")
        engine.send(Stop(id=id_, by="Ctrl-C"))
    elif step == 2 and warning:
        kept = "a checkpoint is kept" if state.started is not None else "nothing is trained yet, so nothing is kept"
        display.note(f"{warning}: ending after this batch; {kept}.")
        engine.send(Abort(id=id_, by=warning))
    elif step == 2:
        display.note("Aborting after this batch; a checkpoint is kept. Ctrl-C again kills.")
        engine.send(Abort(id=id_, by="Ctrl-C"))
    elif step == 3:
        display.note("Killing the engine.")
        run = state.run_directory
        checkpoints = (run.last, run.previous) if run else ()
        escalation = Escalator(engine.identity, workspace, abort=None, checkpoints=lambda: checkpoints).escalate()
        for one in steps_taken(escalation):
            display.note(format_step(one))


def _note_how_to_reattach(state: RunState, display: Display) -> None:
    assert state.started is not None
    name = state.started.run
    attach, stop = f"medtui attach {quote(name)}", f"medtui stop {quote(name)}"
    display.note(f"The run continues in the background. `{attach}` shows it, `{stop}` ends it.")
    display.note(f"run      {state.started.run_dir}")


# ---- waiting for the workspace --------------------------------------------------------------------------------------


def _wait_until_free(workspace: Workspace, interrupts: Interrupts, display: Display) -> bool:
    """Until nobody holds the lock, showing who does; False when interrupted."""
    reported = None
    while (state := LockState.of_workspace(workspace.folder)).held:
        if interrupts.level:
            return False
        if (holder := str(state)) != reported:
            display.note(f"Waiting: the workspace is held by {holder}.")
            reported = holder
        time.sleep(WAIT_POLL)
    return not interrupts.level


class DeferredDisplay:
    """Shows nothing until the engine has the lock: one that lost it to another waiting process is not shown."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._kept: list[tuple[bytes, AnyEvent | None, RunState]] | None = []

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None:
        if self._kept is None:
            self._display.event(line, event, state)
            return
        self._kept.append((line, event, state))
        if isinstance(event, PhaseChanged) and event.phase == "preparing":
            self._open()

    def progress(self, progress: Progress, state: RunState) -> None:
        self._display.progress(progress, state)

    def note(self, text: str) -> None:
        self._display.note(text)

    def end(self, finished: RunFinished, state: RunState) -> None:
        self._open()
        self._display.end(finished, state)

    def lost(self, finished: RunFinished | None) -> bool:
        """Was the workspace locked again before this engine had it?"""
        return self._kept is not None and finished is not None and _is_locked_error(finished)

    def _open(self) -> None:
        kept, self._kept = self._kept or [], None
        for one in kept:
            self._display.event(*one)


def _is_locked_error(finished: RunFinished) -> bool:
    return finished.error is not None and finished.error.kind == "locked"


# ---- final events made by the client --------------------------------------------------------------------------------


def _show_final_event(finished: RunFinished, state: RunState, display: Display) -> int:
    display.event(finished.line().rstrip(b"\n"), finished, state)
    display.end(finished, state)
    return finished.exit_code


def _interrupted_wait(workspace: Workspace) -> WorkspaceLocked:
    """Why a run did not start when its wait was interrupted: the same refusal as without waiting."""
    state = LockState.of_workspace(workspace.folder)
    return WorkspaceLocked(CommandLine.WAIT_INTERRUPTED, path=workspace.root, holder=state)


class JsonLines:
    """The protocol's events and nothing else on standard output; other lines are counted."""

    def __init__(self, *, never_fails: bool = True) -> None:
        """`never_fails`: continue when nobody reads any more, as a run must; else ReaderGone is raised."""
        self._never_fails = never_fails
        self._unreadable = 0

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None:
        checked = checked_line(line)
        if checked is None:
            self._unreadable += 1
        else:
            print_json_line(checked, never_fails=self._never_fails)

    def progress(self, progress: Progress, state: RunState) -> None:
        pass

    def note(self, text: str) -> None:
        print_error(text)

    def end(self, finished: RunFinished, state: RunState) -> None:
        self.close()

    def close(self) -> None:
        """No more lines come: report once how many were skipped."""
        skipped, self._unreadable = self._unreadable, 0
        if skipped:
            print_error(f"medtui: {skipped} line{'s' * (skipped != 1)} skipped: not a JSON object in UTF-8.")


def refusal_event(error: MedtuiError) -> RunFinished:
    """The final event of a run that was refused before an engine was started."""
    return RunFinished(
        time=time.time(),
        outcome="failed",
        exit_code=error.exit_code,
        metrics={"validation": None, "test": None},
        run_dir=None,
        error=ErrorInfo(kind=error.kind, code=error.code, message=error.message, hint=error.hint),
    )
