"""Run a short engine job and wait for it."""

from __future__ import annotations

from collections.abc import Callable

from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import ABORTED, MedtuiError, RunFailed
from engine.contract.wire.jobs import Export, Start
from engine.contract.wire.protocol import Abort, AnyEvent, ErrorInfo
from medtui.client.engine_process import EngineProcess
from medtui.client.feed import RunFeed
from medtui.client.sources import EnginePipe
from medtui.client.state import RunState
from medtui.sentences import Job

POLL = 1.0  # seconds between checks whether the caller has cancelled
LAST_LOOKS = 3  # at what an engine said that was ended
CLEANUP = 5.0  # seconds for an engine to clean up a download


class JobAborted(MedtuiError):
    """A job that somebody aborted."""

    kind = "aborted"
    exit_code = ABORTED


class Interrupted(BaseException):
    """Ctrl-C ended a job: what it has written, in a sentence. No KeyboardInterrupt: typer would end without it."""


def do_job(
    start: Start,
    workspace: Workspace,
    cancelled: Callable[[], bool] = lambda: False,
    on_event: Callable[[AnyEvent], None] = lambda event: None,
    grace: float = 0.0,
) -> RunState:
    """Do one job in a separate engine. Raises the error that it ended with; RunFailed when the caller cancelled.

    `on_event`: called with every event; `grace`: seconds that a cancelled job has to clean up.
    """
    engine = EngineProcess(workspace)
    feed = RunFeed(EnginePipe(engine))
    try:
        engine.send(start)
        while not feed.over:
            if cancelled():
                raise RunFailed(Job.CANCELLED)
            for _, event in feed.poll(POLL):
                if event is not None:
                    on_event(event)
    except BaseException as error:
        if grace:
            engine.send(Abort(id="give-up", by=start.by))
            engine.wait(grace)
        engine.kill()
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(_interrupted(start, feed)) from None
        raise
    state = feed.view.state
    if (death := feed.death) is not None:
        raise RunFailed.reported(death.code, death.how, f"{death.remedy} {death.output[-500:]}".strip())
    assert state.finished is not None
    if state.finished.error is not None:
        raise _as_raised(state.finished.error, state.finished.exit_code)
    if state.finished.outcome == "aborted":
        raise JobAborted(Job.ABORTED)
    return state


def _interrupted(start: Start, feed: RunFeed) -> str:
    """What a job that was ended by Ctrl-C has written, in a sentence."""
    for _ in range(LAST_LOOKS):
        if not feed.over:
            list(feed.poll(POLL))
    written = [event.name for event in feed.view.state.artifacts]
    if written:
        return Job.INTERRUPTED_LATE.text(names=", ".join(written))[0]
    if isinstance(start, Export) and start.replace:  # file by file, none of which is announced
        return Job.INTERRUPTED.text()[0]
    return Job.INTERRUPTED_EARLY.text()[0]


def _as_raised(info: ErrorInfo, exit_code: int) -> MedtuiError:
    """The engine's error, with its kind and exit code, on this side."""
    error = MedtuiError.reported(info.code, info.message, info.hint)
    error.kind, error.exit_code = info.kind, exit_code  # type: ignore[misc]
    return error
