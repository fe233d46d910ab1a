"""`medtui run` without a console: starts an engine, shows how it goes, ends with the exit code of its run."""

from __future__ import annotations

import queue
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from engine.contract.errors import ABORTED, MedtuiError, RunFailed, WorkspaceLocked
from engine.contract.lock import is_locked, read_holder
from engine.contract.protocol import (
    Abort,
    AnyEvent,
    ErrorInfo,
    PhaseChanged,
    Progress,
    RunFinished,
    Start,
    Stop,
)
from engine.contract.run_directory import RunDirectory
from engine.contract.workspace import Workspace
from medtui.client.climb import Climb, ascent_rungs
from medtui.client.engine_process import EngineProcess
from medtui.client.journal import without_gap
from medtui.client.ladder import rung_line
from medtui.client.state import RunState, fold
from medtui.machine.ghosts import end, ghosts
from medtui.output import LastingOutput

REFRESH = 0.1  # seconds between looks at signals and progress
WAIT_POLL = 0.5  # seconds between looks at a lock that is waited for
PATIENCE = 10.0  # seconds for the process to go after its last word


class Show(Protocol):
    """A way to show a run."""

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None: ...

    def progress(self, progress: Progress, state: RunState) -> None: ...

    def note(self, text: str) -> None: ...

    def end(self, finished: RunFinished, state: RunState) -> None: ...


class Interrupts:
    """Ctrl-C once stops, twice aborts, three times kills; SIGTERM and SIGUSR1 abort. Handlers only count."""

    def __init__(self) -> None:
        self.level = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.level = self.level + 1 if number == signal.SIGINT else max(self.level, 2)


def run_headless(start: Start, workspace: Workspace, show: Show, *, wait: bool = False, detach: bool = False) -> int:
    """Do one job in an engine of its own and show it. Returns the exit code.

    `wait` until nobody holds the workspace; `detach` returns when the run has started, and leaves it running.
    """
    with _counted_signals() as interrupts:
        while True:
            if wait and not _wait_until_free(workspace, interrupts, show):
                return _said_last(refused(_given_up(workspace)), RunState(), show)
            outcome = _run_once(start, workspace, Patient(show) if wait else show, interrupts, detach=detach)
            if outcome is not None:
                return outcome


def end_ghosts(workspace: Workspace, show: Show) -> None:
    """End leftover engines of this workspace, and say so; on a cluster say that they are left alone."""
    for ghost in ghosts(workspace):
        show.note(f"Leftover engine of a console that is gone: {end(ghost, workspace)}.")


def _run_once(start: Start, workspace: Workspace, show: Show, interrupts: Interrupts, *, detach: bool) -> int | None:
    """The exit code; None when the lock was lost to another who waited too."""
    engine = EngineProcess(workspace)
    try:
        engine.send(start)
    except BaseException:
        engine.kill()
        raise
    state, finished = _follow(engine, workspace, interrupts, show, until_started=detach)
    if detach and finished is None and state.started is not None:
        _tell_how_to_come_back(state, show)
        return 0
    returned = engine.wait(PATIENCE)
    if isinstance(show, Patient) and show.lost(finished):
        return None
    if finished is None:
        run = RunDirectory(Path(state.started.run_dir)) if state.started else None
        how = f"signal {-returned}" if returned is not None and returned < 0 else f"exit code {returned}"
        finished = crashed(state, run, f"The engine died ({how}).", engine.last_words(run.log if run else None))
        show.event(finished.line().rstrip(b"\n"), finished, state)
    show.end(finished, state)
    return finished.exit_code


@contextmanager
def _counted_signals() -> Iterator[Interrupts]:
    interrupts = Interrupts()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.signal(number, interrupts) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(
    engine: EngineProcess, workspace: Workspace, interrupts: Interrupts, show: Show, *, until_started: bool
) -> tuple[RunState, RunFinished | None]:
    """Fold and show until the engine has said its last, or that the run has started."""
    state = RunState()
    obeyed = 0
    while not (until_started and state.started is not None):
        if obeyed < interrupts.level:
            obeyed += 1
            _interrupt(engine, workspace, obeyed, state, show)
        try:
            received = engine.receive(REFRESH)
        except queue.Empty:
            if obeyed >= 3 and engine.wait(0) is not None:
                break  # killed; a grandchild may still hold the pipe
            continue
        if received is None:
            break
        line, event = received
        if event is not None:
            state = fold(without_gap(state, event), event)
        show.event(line, event, state)
        if isinstance(event, Progress):
            show.progress(event, state)
    return state, state.finished


def _interrupt(engine: EngineProcess, workspace: Workspace, rung: int, state: RunState, show: Show) -> None:
    """The rungs of Ctrl-C: stop, abort, kill."""
    id_ = f"ctrl-c-{rung}"
    if rung == 1 and state.started is None:
        show.note("Ending: nothing is trained yet, and nothing is kept. Ctrl-C again aborts.")
        engine.send(Stop(id=id_, by="Ctrl-C"))
    elif rung == 1:
        show.note("Stopping after this batch; the best weights will be evaluated. Ctrl-C again aborts.")
        engine.send(Stop(id=id_, by="Ctrl-C"))
    elif rung == 2:
        show.note("Aborting after this batch; a checkpoint is kept. Ctrl-C again kills.")
        engine.send(Abort(id=id_, by="Ctrl-C"))
    elif rung == 3:
        show.note("Killing the engine.")
        run = RunDirectory(Path(state.started.run_dir)) if state.started else None
        checkpoints = (run.last, run.previous) if run else ()
        ascent = Climb(engine.identity, workspace, abort=None, checkpoints=lambda: checkpoints).climb()
        for one in ascent_rungs(ascent):
            show.note(rung_line(one))


def _tell_how_to_come_back(state: RunState, show: Show) -> None:
    assert state.started is not None
    name = state.started.run
    show.note(f"The run goes on by itself. `medtui attach {name}` watches it, `medtui stop {name}` ends it.")
    show.note(f"run      {state.started.run_dir}")


# ---- waiting for the workspace --------------------------------------------------------------------------------------


def _wait_until_free(workspace: Workspace, interrupts: Interrupts, show: Show) -> bool:
    """Until nobody holds the lock, showing who does; False when interrupted."""
    told = None
    while is_locked(workspace.lock_file):
        if interrupts.level:
            return False
        holder = str(read_holder(workspace.lock_file) or "a process that has not said its name")
        if holder != told:
            show.note(f"Waiting: the workspace is held by {holder}.")
            told = holder
        time.sleep(WAIT_POLL)
    return not interrupts.level


class Patient:
    """Shows nothing until the engine has the lock: one that lost it to another who waited too was never there."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._kept: list[tuple[bytes, AnyEvent | None, RunState]] | None = []

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None:
        if self._kept is None:
            self._show.event(line, event, state)
            return
        self._kept.append((line, event, state))
        if isinstance(event, PhaseChanged) and event.phase == "preparing":
            self._open()

    def progress(self, progress: Progress, state: RunState) -> None:
        self._show.progress(progress, state)

    def note(self, text: str) -> None:
        self._show.note(text)

    def end(self, finished: RunFinished, state: RunState) -> None:
        self._open()
        self._show.end(finished, state)

    def lost(self, finished: RunFinished | None) -> bool:
        """Was the workspace locked again before this engine had it?"""
        return self._kept is not None and finished is not None and _is_locked_error(finished)

    def _open(self) -> None:
        kept, self._kept = self._kept or [], None
        for one in kept:
            self._show.event(*one)


def _is_locked_error(finished: RunFinished) -> bool:
    return finished.error is not None and finished.error.kind == "locked"


# ---- last words of the client's own ---------------------------------------------------------------------------------


def _said_last(finished: RunFinished, state: RunState, show: Show) -> int:
    show.event(finished.line().rstrip(b"\n"), finished, state)
    show.end(finished, state)
    return finished.exit_code


def crashed(state: RunState, run: RunDirectory | None, how: str, words: str) -> RunFinished:
    """The engine's last word, made for an engine that could not say it. `words`: the end of its log."""
    error: MedtuiError = RunFailed(how, f"Its last words: {words[-500:]}" if words else "")
    resumed = state.started is not None and state.started.resumed_from is not None
    resumable = resumed or state.last_checkpoint is not None
    return RunFinished(
        time=time.time(),
        outcome="crashed",
        exit_code=ABORTED if resumable else error.exit_code,
        metrics={"validation": state.summary.validation, "test": state.summary.test},
        run_dir=str(run.root) if run else None,
        error=ErrorInfo(kind="crashed", message=error.message, hint=error.hint),
    )


def _given_up(workspace: Workspace) -> WorkspaceLocked:
    """Why a run did not begin whose waiting was ended: the same refusal as without waiting."""
    holder = read_holder(workspace.lock_file)
    return WorkspaceLocked(
        f"Ended while waiting for the workspace {workspace.root}, which was held by {holder or 'another process'}.",
        "Nothing was started.",
    )


class JsonLines:
    """The protocol's events and nothing else on standard output."""

    def __init__(self, *, lasting: bool = True) -> None:
        """`lasting`: goes on when nobody reads any more, as a run must; else it ends with BrokenPipeError."""
        self._output = LastingOutput(sys.stdout) if lasting else sys.stdout

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None:
        self._output.write(line.decode() + "\n")
        self._output.flush()

    def progress(self, progress: Progress, state: RunState) -> None:
        pass

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)

    def end(self, finished: RunFinished, state: RunState) -> None:
        pass


def refused(error: MedtuiError) -> RunFinished:
    """The last word of a run that no engine was asked for."""
    return RunFinished(
        time=time.time(),
        outcome="failed",
        exit_code=error.exit_code,
        metrics={"validation": None, "test": None},
        run_dir=None,
        error=ErrorInfo(kind=error.kind, message=error.message, hint=error.hint),
    )
