"""Engines and runs as something to watch and command: here an engine of our own; `attached.py` has those of others.

Each has one thread that reads and folds; a front end looks at `view`, a value, whenever it likes. Ten thousand queued
events are so one change on the screen.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from engine.contract.checkpoint_file import verified_digest
from engine.contract.errors import MedtuiError
from engine.contract.lock import is_locked
from engine.contract.process_identity import ProcessIdentity
from engine.contract.protocol import (
    AnyCommand,
    AnyEvent,
    Diagnosis,
    EpochFinished,
    PhaseChanged,
    Progress,
    Resources,
    RunStarted,
    Shutdown,
    Start,
)
from engine.contract.run_directory import RunDirectory
from engine.contract.status import Status
from engine.contract.workspace import Workspace
from medtui.client.control import COMMANDS
from medtui.client.engine_process import EngineProcess
from medtui.client.journal import without_gap
from medtui.client.liveness import is_alive
from medtui.client.state import fold
from medtui.client.view import KEPT_POINTS, Aftermath, Request, RunView

SETTLE = 15.0  # seconds to watch for the process to go and the lock to be free


class Watched(Protocol):
    """Something whose run can be seen and commanded."""

    @property
    def view(self) -> RunView: ...

    @property
    def engine(self) -> ProcessIdentity | None: ...

    @property
    def run_directory(self) -> RunDirectory | None: ...

    def command(self, name: str, by: str) -> Request | None: ...

    def close(self) -> None: ...


def absorb(view: RunView, event: AnyEvent) -> RunView:
    """The view after one more event. Pure; a gap in `seq` is the caller's to mend."""
    if isinstance(event, Progress):
        return replace(view, progress=event, points=_with_point(view, event))
    if isinstance(event, Resources):
        return replace(view, resources=event)
    state = fold(view.state, event)
    if state is view.state:
        return view
    view = replace(view, state=state)
    if isinstance(event, PhaseChanged):
        return replace(view, phases=(*view.phases, (event.phase, event.time))[-50:])
    if isinstance(event, RunStarted):
        return replace(view, run=event.run, points=())
    if isinstance(event, EpochFinished):
        return replace(view, points=tuple(point for point in view.points if point[0] > event.step))
    if isinstance(event, Diagnosis):
        return replace(view, diagnosis=event.facts)
    return view


def _with_point(view: RunView, progress: Progress) -> tuple[tuple[int, float], ...]:
    started = view.state.started
    if started is None or progress.epoch is None or progress.step is None or progress.loss is None:
        return view.points
    step = (progress.epoch - 1) * started.steps_per_epoch + progress.step
    if view.points and view.points[-1][0] >= step:
        return view.points
    points = (*view.points, (step, progress.loss))
    return points if len(points) <= KEPT_POINTS else points[::2]


class OwnEngine:
    """An engine that this process started: warm at first, then doing one job."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        warm: bool = True,
        engine: Callable[[], EngineProcess] | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.workspace = workspace
        self._lock = threading.Lock()
        self._view = RunView()
        self._wake = wake
        self._engine = engine() if engine else EngineProcess(workspace, warm=warm)
        self._thread = threading.Thread(target=self._watch, name="engine-watch", daemon=True)
        self._thread.start()

    @property
    def engine(self) -> ProcessIdentity:
        return self._engine.identity

    @property
    def run_directory(self) -> RunDirectory | None:
        started = self._view.state.started
        return RunDirectory(Path(started.run_dir)) if started is not None else None

    @property
    def view(self) -> RunView:
        return self._view

    @property
    def usable(self) -> bool:
        """Could it still take a start?"""
        return self._view.died is None and not self._view.asked_to_start

    def start(self, recipe: dict[str, Any], data: list[str], command_line: list[str], by: str) -> bool:
        """Ask for a training run. False when the engine does not listen any more."""
        return self.begin(
            Start(
                id=secrets.token_hex(4),
                by=by,
                recipe=recipe,
                data=data,
                on_disconnect="stop" if recipe.get("runtime", {}).get("on_disconnect") == "stop" else "continue",
                command_line=command_line,
            )
        )

    def begin(self, start: Start) -> bool:
        """Send a start command, such as `resume_command` makes. False when the engine does not listen any more."""
        stops = start.on_disconnect == "stop"
        self._change(lambda view: replace(view, asked_to_start=True, stops_when_left=stops))
        return self._send(start)

    def command(self, name: str, by: str) -> Request | None:
        """Send a command; None when the engine does not listen any more. Its answer comes as an event."""
        command: AnyCommand = COMMANDS[name](id=secrets.token_hex(4), by=by)
        request = Request(command.id, name, time.time())
        self._change(lambda view: replace(view, requests=(*view.requests, request)[-50:]))
        return request if self._send(command) else None

    def close(self) -> None:
        """Let go: a warm engine ends, a run does as its `on_disconnect` says."""
        if not self._view.asked_to_start and self._view.died is None:
            self._send(Shutdown(id="shutdown", by="console"))

    def _send(self, command: AnyCommand) -> bool:
        with contextlib.suppress(BlockingIOError):
            return self._engine.send(command)
        return False

    def _change(self, change: Callable[[RunView], RunView]) -> None:
        with self._lock:
            self._view = change(self._view)
        self._wake()

    def _watch(self) -> None:
        while True:
            try:
                received = self._engine.receive(1.0)
            except queue.Empty:
                if self._engine.wait(0) is None:
                    continue
                received = None  # a grandchild may hold the pipe of an engine that is gone
            if received is None:
                break
            self._take(*received)
        self._settle()

    def _take(self, line: bytes, event: AnyEvent | None) -> None:
        if event is None:
            if line.strip() and not is_object(line):
                self._change(lambda view: replace(view, noise=view.noise + 1))
            return
        state = without_gap(self._view.state, event)
        if state is not self._view.state:
            self._change(lambda view: replace(view, state=state, run=state.started.run if state.started else view.run))
        self._change(lambda view: absorb(view, event))

    def _settle(self) -> None:
        """The engine has said its last: how did it go, and what is left?"""
        returned = self._engine.wait(SETTLE)
        state = self._view.state
        gone = time.time() if returned is not None else None
        self._change(lambda view: replace(view, after=replace(view.after, process_gone=gone)))
        if state.finished is None:
            run = RunDirectory(Path(state.started.run_dir)) if state.started else None
            how = _how_it_died(returned, self._engine.last_words(run.log if run else None))
            self._change(lambda view: replace(view, died=how))
        if self._view.asked_to_start:
            look_after(self.workspace, self.run_directory, self._change, lambda: self._view)


def look_after(
    workspace: Workspace,
    run: RunDirectory | None,
    change: Callable[[Callable[[RunView], RunView]], None],
    view: Callable[[], RunView],
    lock_of: Status | None = None,
) -> None:
    """After a job: is the process gone, is the lock free, is the last checkpoint whole? Seen, not assumed."""
    deadline = time.monotonic() + SETTLE
    while time.monotonic() < deadline:
        after = view().after
        if after.process_gone is None and lock_of is not None and not is_alive(lock_of):
            change(lambda v: replace(v, after=replace(v.after, process_gone=time.time())))
        if after.lock_free is None and not is_locked(workspace.lock_file):
            change(lambda v: replace(v, after=replace(v.after, lock_free=time.time())))
        after = view().after
        if after.lock_free is not None and after.process_gone is not None:
            break
        time.sleep(0.05)
    _check_checkpoint(run, change, view)


def _check_checkpoint(
    run: RunDirectory | None, change: Callable[[Callable[[RunView], RunView]], None], view: Callable[[], RunView]
) -> None:
    state = view().state
    result, trouble = "none", ""
    if run is not None and state.last_checkpoint is not None:
        try:
            verified_digest(run.root / state.last_checkpoint.path)
            result = "verified"
        except (MedtuiError, OSError) as error:
            result, trouble = "damaged", str(error)
    found: Aftermath = replace(
        view().after,
        checkpoint=result,  # type: ignore[arg-type]
        checkpoint_checked=time.time(),
        trouble=trouble,
    )
    change(lambda v: replace(v, after=found))


def is_object(line: bytes) -> bool:
    """An event of a newer version, perhaps; not garbage."""
    return line.startswith(b'{"event"') and line.endswith(b"}")


def _how_it_died(returned: int | None, words: str) -> str:
    if returned is None:
        how = "its pipe closed while it lives"
    else:
        how = f"signal {-returned}" if returned < 0 else f"exit code {returned}"
    last = words.splitlines()[-1] if words else ""
    return f"The engine died ({how})." + (f" Its last words: {last[-300:]}" if last else "")
