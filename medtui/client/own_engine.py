"""An engine of our own, to follow and to command."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.contract.machine.process_identity import ProcessIdentity
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Train
from engine.contract.wire.protocol import AnyCommand, Shutdown
from medtui.client.control import COMMANDS
from medtui.client.engine_process import EngineProcess
from medtui.client.feed import RunFeed
from medtui.client.shutdown_checks import SETTLE, check_shutdown
from medtui.client.sources import EnginePipe
from medtui.client.view import Request, RunView

if TYPE_CHECKING:
    from medtui.client.trackers import RunTrackers

POLL = 1.0  # seconds that the thread waits for a line at once


class OwnEngine:
    """An engine that this process started: warm at first, then doing one job."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        warm: bool = True,
        engine: Callable[[], EngineProcess] | None = None,
    ) -> None:
        self.workspace = workspace
        self._engine = engine() if engine else EngineProcess(workspace, warm=warm)
        self._feed = RunFeed(EnginePipe(self._engine))
        self._trackers: RunTrackers | None = None  # of the run, once it is asked for
        self._thread = threading.Thread(target=self._follow, name="engine-feed", daemon=True)
        self._thread.start()

    @property
    def engine(self) -> ProcessIdentity:
        return self._engine.identity

    @property
    def run_directory(self) -> RunDirectory | None:
        return self.view.state.run_directory

    @property
    def view(self) -> RunView:
        return self._feed.view

    @property
    def engine_id(self) -> str | None:
        """Its id in the protocol; None before its hello."""
        hello = self.view.state.hello
        return hello.engine if hello is not None else None

    @property
    def usable(self) -> bool:
        """Could it still take a start?"""
        return self.view.died is None and not self.view.asked_to_start

    def start(self, recipe: dict[str, Any], data: list[str], command_line: list[str], by: str) -> bool:
        """Ask for a training run. False when the engine no longer listens."""
        return self.begin(
            Train(
                id=secrets.token_hex(4),
                by=by,
                recipe=recipe,
                data=data,
                on_disconnect="stop" if recipe.get("runtime", {}).get("on_disconnect") == "stop" else "continue",
                command_line=command_line,
            )
        )

    def begin(self, start: Train) -> bool:
        """Send a start command, such as `resume_command` makes. False when the engine no longer listens."""
        from medtui.client.trackers import RunTrackers  # it imports the recipe; a console opens without

        stops, self._trackers = start.stops_when_left, RunTrackers(start, self.workspace)
        self._feed.change(lambda view: replace(view, asked_to_start=True, stops_when_left=stops))
        return self._send(start)

    def command(self, name: str, by: str) -> Request | None:
        """Send a command; None when the engine no longer listens. Its answer comes as an event."""
        command: AnyCommand = COMMANDS[name](id=secrets.token_hex(4), by=by)
        request = Request(command.id, name, time.time())
        self._feed.change(lambda view: replace(view, requests=(*view.requests, request)[-50:]))
        return request if self._send(command) else None

    def close(self) -> None:
        """Let go: a warm engine ends, a run follows its `on_disconnect`."""
        if not self.view.asked_to_start and self.view.died is None:
            self._send(Shutdown(id="shutdown", by="console"))

    def _send(self, command: AnyCommand) -> bool:
        with contextlib.suppress(BlockingIOError):
            return self._engine.send(command)
        return False

    def _follow(self) -> None:
        while not self._feed.over:
            self._feed.refresh(POLL)
            if self._trackers is not None:
                self._trackers.poll(self.view.state)
        gone = time.time() if self._engine.wait(SETTLE) is not None else None
        self._feed.change(lambda view: replace(view, after=replace(view.after, process_gone=gone)))
        if self.view.asked_to_start:
            check_shutdown(self._feed, self.workspace, self.run_directory, self.engine)
        if self._trackers is not None:
            self._trackers.wait(lambda _: None, lambda: False)  # so that none stays a zombie; what failed is in its log
