"""A short job of the engine, done and waited for."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable

from engine.contract.errors import ABORTED, MedtuiError, RunFailed
from engine.contract.protocol import Abort, AnyEvent, ErrorInfo, Start
from engine.contract.workspace import Workspace
from medtui.client.engine_process import EngineProcess, Line
from medtui.client.state import RunState, fold

TIDYING = 5.0  # seconds for an engine to put away what it fetches


def do_job(
    start: Start,
    workspace: Workspace,
    given_up: Callable[[], bool] = lambda: False,
    tell: Callable[[AnyEvent], None] = lambda event: None,
    grace: float = 0.0,
) -> RunState:
    """Do one job in an engine of its own. Raises the error that it ended with; RunFailed when the caller gave up.

    `tell`: called with every event; `grace`: seconds that a job which is given up has to tidy.
    """
    engine = EngineProcess(workspace)
    state = RunState()
    try:
        engine.send(start)
        while (line := _next(engine, given_up)) is not None:
            if line[1] is not None:
                state = fold(state, line[1])
                tell(line[1])
    except BaseException:
        if grace:
            engine.send(Abort(id="give-up", by=start.by))
            engine.wait(grace)
        engine.kill()
        raise
    if state.finished is None:
        raise RunFailed("The engine died.", engine.last_words(None)[-500:])
    if state.finished.error is not None:
        raise _as_raised(state.finished.error, state.finished.exit_code)
    if state.finished.outcome == "aborted":
        raise _as_raised(ErrorInfo(kind="aborted", message="The job was aborted.", hint="Ask for it again."), ABORTED)
    return state


def _next(engine: EngineProcess, given_up: Callable[[], bool]) -> Line | None:
    while True:
        if given_up():
            raise RunFailed("The job was given up.", "Ask for it again.")
        with contextlib.suppress(queue.Empty):
            return engine.receive(1.0)


def _as_raised(info: ErrorInfo, exit_code: int) -> MedtuiError:
    """The engine's error, with its kind and exit code, on this side."""
    error = MedtuiError(info.message, info.hint)
    error.kind, error.exit_code = info.kind, exit_code  # type: ignore[misc]
    return error
