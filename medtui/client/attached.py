"""A run of any engine, living or finished, followed and commanded through its files."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from engine.contract.process_identity import ProcessIdentity
from engine.contract.protocol import AnyCommand, parse_event
from engine.contract.run_directory import RunDirectory
from engine.contract.status import Status, read_status
from engine.contract.workspace import Workspace
from medtui.client.control import COMMANDS, append_command, commanded
from medtui.client.liveness import Heartbeat, identity_of, unseen_words
from medtui.client.state import RunState
from medtui.client.tail import JournalTail
from medtui.client.view import Request, RunView
from medtui.client.watch import absorb, is_object, look_after

POLL = 0.25  # seconds between looks at a journal
STATUS_EVERY = 1.0  # seconds between looks at the status, which is not written more often


class AttachedRun:
    """Replays the journal, then follows it until the run is over."""

    def __init__(self, run: RunDirectory, workspace: Workspace, wake: Callable[[], None] = lambda: None) -> None:
        self.run = run
        self.workspace = workspace
        self._lock = threading.Lock()
        self._view = RunView(own=False, run=run.name, asked_to_start=True)
        self._wake = wake
        self._closed = threading.Event()
        self._journal = JournalTail(run.journal)
        self._heartbeat = Heartbeat()
        self._status: Status | None = None
        threading.Thread(target=self._follow, name="run-follow", daemon=True).start()

    @property
    def view(self) -> RunView:
        return self._view

    @property
    def status(self) -> Status | None:
        """The newest that was read."""
        return self._status

    @property
    def engine(self) -> ProcessIdentity | None:
        status = self._status or read_status(self.run)
        return identity_of(status) if status is not None else None

    @property
    def finished(self) -> bool:
        """Has its engine said its last word?"""
        status = self._status or read_status(self.run)
        return status is not None and status.outcome is not None

    @property
    def run_directory(self) -> RunDirectory:
        return self.run

    def command(self, name: str, by: str) -> Request:
        """Append a command to `control.jsonl`; its answer comes as an event. Raises NothingToCommand."""
        status = commanded(self.run)
        command: AnyCommand = COMMANDS[name](id=secrets.token_hex(8), by=by, engine=status.engine)
        request = Request(command.id, name, time.time())
        append_command(self.run, command)
        self._change(lambda view: replace(view, requests=(*view.requests, request)[-50:]))
        return request

    def close(self) -> None:
        self._closed.set()

    def _change(self, change: Callable[[RunView], RunView]) -> None:
        with self._lock:
            self._view = change(self._view)
        self._wake()

    def _follow(self) -> None:
        last_status = 0.0
        while not self._closed.is_set():
            self._read_journal()
            if time.monotonic() - last_status >= STATUS_EVERY:
                last_status = time.monotonic()
                self._read_status()
            if self._view.outcome is not None:
                look_after(self.workspace, self.run, self._change, lambda: self._view, lock_of=self._status)
                return
            self._closed.wait(POLL)

    def _read_journal(self) -> None:
        anew, lines = self._journal.fresh()
        if not (anew or lines):
            return
        view = self._view
        if anew:
            view = replace(view, state=RunState(), points=(), phases=())
        noise = view.noise
        for line in lines:
            if (event := parse_event(line)) is not None:
                view = absorb(view, event)
            elif line.strip() and not is_object(line):
                noise += 1
        new = view
        self._change(
            lambda old: replace(
                old, state=new.state, run=new.run or old.run, points=new.points, phases=new.phases, noise=noise
            )
        )

    def _read_status(self) -> None:
        status = read_status(self.run)
        if status is None:
            return
        self._status = status
        liveness = self._heartbeat.look(status) if status.outcome is None else "alive"
        if liveness == "gone":
            self._read_journal()  # its last words
        died = "The engine is gone without a last word." if liveness == "gone" else None
        unseen = unseen_words(status) if liveness == "unseen" else None

        def change(view: RunView) -> RunView:
            if not view.points and status.curve:  # what was trained of this epoch before we came
                view = replace(view, points=tuple((step, loss) for step, loss in status.curve))
            view = absorb(view, status.progress) if status.progress else view
            view = replace(view, resources=status.resources, unseen=unseen)
            return replace(view, died=died) if view.state.finished is None else view

        self._change(change)
