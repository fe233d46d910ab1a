"""A run of any engine, live or finished, followed and commanded through its files."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import replace

from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_record import read_run
from engine.contract.store.status import Status
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import AnyCommand
from medtui.client.control import COMMANDS, append_command, commandable_record
from medtui.client.feed import RunFeed
from medtui.client.liveness import identity_of
from medtui.client.shutdown_checks import check_shutdown
from medtui.client.sources import POLL, RunFiles
from medtui.client.view import Request, RunView


class AttachedRun:
    """Replays the journal, then follows it until the run is over."""

    def __init__(self, run: RunDirectory, workspace: Workspace) -> None:
        self.run = run
        self.workspace = workspace
        self._files = RunFiles(run)
        view = RunView(own=False, run=run.name, asked_to_start=True, catching_up=True)
        self._feed = RunFeed(self._files, view)
        threading.Thread(target=self._follow, name="run-feed", daemon=True).start()

    @property
    def view(self) -> RunView:
        return self._feed.view

    @property
    def status(self) -> Status | None:
        """The newest one read."""
        return self._files.status

    @property
    def engine(self) -> ProcessIdentity | None:
        return read_run(self.run).engine

    @property
    def finished(self) -> bool:
        """Has its engine reported its end?"""
        return read_run(self.run).summary.outcome is not None

    @property
    def run_directory(self) -> RunDirectory:
        return self.run

    def command(self, name: str, by: str) -> Request:
        """Append a command to `control.jsonl`; its answer comes as an event. Raises NothingToCommand."""
        record = commandable_record(self.run)
        command: AnyCommand = COMMANDS[name](id=secrets.token_hex(8), by=by, engine=record.engine_id)
        request = Request(command.id, name, time.time())
        append_command(self.run.control, command)
        self._feed.change(lambda view: replace(view, requests=(*view.requests, request)[-50:]))
        return request

    def close(self) -> None:
        self._files.close()

    def _follow(self) -> None:
        while not self._files.closed and not self._feed.over:
            self._feed.refresh(POLL)
        if not self._files.closed:
            engine = identity_of(self.status) if self.status is not None else None
            check_shutdown(self._feed, self.workspace, self.run, engine)
