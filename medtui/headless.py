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

from engine.contract.errors import ABORTED, MedtuiError, RunFailed
from engine.contract.protocol import (
    Abort,
    AnyEvent,
    ErrorInfo,
    Progress,
    RunFinished,
    Start,
    Stop,
)
from engine.contract.run_directory import RunDirectory
from engine.contract.workspace import Workspace
from medtui.client.engine_process import EngineProcess
from medtui.client.journal import without_gap
from medtui.client.state import RunState, fold
from medtui.output import LastingOutput

REFRESH = 0.1  # seconds between looks at signals and progress
PATIENCE = 10.0  # seconds for the process to go after its last word


class Show(Protocol):
    """A way to show a run."""

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None: ...

    def progress(self, progress: Progress, state: RunState) -> None: ...

    def note(self, text: str) -> None: ...

    def end(self, finished: RunFinished, state: RunState) -> None: ...


class Interrupts:
    """Ctrl-C once stops, twice aborts, three times kills; SIGTERM aborts. Handlers only count."""

    def __init__(self) -> None:
        self.level = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.level = max(self.level + 1, 2 if number == signal.SIGTERM else 1)


def run_headless(start: Start, workspace: Workspace, show: Show) -> int:
    """Do one job in an engine of its own and show it. Returns the exit code."""
    with _counted_signals() as interrupts:
        engine = EngineProcess(workspace)
        try:
            engine.send(start)
        except BaseException:
            engine.kill(None)
            raise
        state, finished = _follow(engine, interrupts, show)
        returned = engine.wait(PATIENCE)
    if finished is None:
        finished = _crashed(engine, state, returned)
        show.event(finished.line().rstrip(b"\n"), finished, state)
    show.end(finished, state)
    return finished.exit_code


@contextmanager
def _counted_signals() -> Iterator[Interrupts]:
    interrupts = Interrupts()
    before = {number: signal.signal(number, interrupts) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(engine: EngineProcess, interrupts: Interrupts, show: Show) -> tuple[RunState, RunFinished | None]:
    """Fold and show until the engine has said its last."""
    state = RunState()
    obeyed = 0
    while True:
        if obeyed < interrupts.level:
            obeyed += 1
            _climb(engine, obeyed, state, show)
        try:
            received = engine.receive(REFRESH)
        except queue.Empty:
            if obeyed >= 3 and engine.wait(0) is not None:
                return state, state.finished  # killed; a grandchild may still hold the pipe
            continue
        if received is None:
            return state, state.finished
        line, event = received
        if event is not None:
            state = fold(without_gap(state, event), event)
        show.event(line, event, state)
        if isinstance(event, Progress):
            show.progress(event, state)


def _climb(engine: EngineProcess, rung: int, state: RunState, show: Show) -> None:
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
        engine.kill(state.hello.started if state.hello else None)


def _crashed(engine: EngineProcess, state: RunState, returned: int | None) -> RunFinished:
    """The engine's last word, made for an engine that could not say it."""
    run = RunDirectory(Path(state.started.run_dir)) if state.started else None
    words = engine.last_words(run.log if run else None)
    how = f"signal {-returned}" if returned is not None and returned < 0 else f"exit code {returned}"
    error: MedtuiError = RunFailed(f"The engine died ({how}).", f"Its last words: {words[-500:]}" if words else "")
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


class JsonLines:
    """The protocol's events and nothing else on standard output."""

    def __init__(self) -> None:
        self._output = LastingOutput(sys.stdout)

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
