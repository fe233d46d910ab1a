"""The engines of a console: one kept warm, and the run that is shown."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from engine.contract.recipe.reader import build_recipe
from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from medtui.client.attached import AttachedRun
from medtui.client.escalation import Escalator, Timeouts, escalator_for
from medtui.client.own_engine import OwnEngine
from medtui.client.resume import resume_command
from medtui.client.run_handle import RunHandle
from medtui.client.view import RunView


class Engines:
    def __init__(self, workspace: Workspace, make: Callable[[Workspace], OwnEngine], *, keep_warm: bool) -> None:
        self.workspace = workspace
        self.handle: RunHandle | None = None
        self.escalator: Escalator | None = None  # of the run that is shown
        self.timeouts = Timeouts()  # of the escalation
        self._make = make
        self._keep_warm = keep_warm
        self._warm: OwnEngine | None = None

    @property
    def view(self) -> RunView | None:
        return self.handle.view if self.handle is not None else None

    @property
    def busy(self) -> bool:
        return self.view is not None and self.view.active

    @property
    def trains_here(self) -> bool:
        """Is an engine of this console training?"""
        return self.busy and self.view is not None and self.view.own

    def is_own(self, lock: LockState) -> bool:
        """Is it held by the engine of the run shown, and did this console start that one?"""
        return isinstance(self.handle, OwnEngine) and lock.is_of(self.handle.engine_id)

    def held_by_another(self) -> str | None:
        """A description of who holds the workspace; None for nobody, and for an engine of this console."""
        state = LockState.of_workspace(self.workspace.folder)
        if not state.held:
            return None
        if state.holder is None:
            return state.other_holder or "another process"
        if state.holder.is_runner:
            return str(state.holder)
        if state.holder.is_without_runner:
            return f"engine {state.holder.pid} of {state.holder.owner}, whose runner is gone"
        return None if self.is_own(state) else f"engine {state.holder.pid} on {state.holder.host}"

    def warm_up(self) -> None:
        """Start an engine while the user still reads the recipe."""
        if self._keep_warm and (self._warm is None or not self._warm.usable):
            self._warm = self._make(self.workspace)

    def train(self, recipe: dict[str, Any], data: list[str]) -> None:
        self._take().start(recipe, data, _command_line(), who())

    def resume(self, run: RunDirectory, data: list[str]) -> None:
        """Resume a run with its recipe. Raises MedtuiError where that is impossible."""
        recipe = build_recipe(read_yaml_file(run.recipe).values)
        start = resume_command(
            run,
            self.workspace,
            by=who(),
            data=data,
            on_disconnect="stop" if recipe.runtime.on_disconnect == "stop" else "continue",
            command_line=_command_line(),
        )
        self._take().begin(start)

    def _take(self) -> OwnEngine:
        """The warm engine, or a new one where that is unusable; the console follows it from now on."""
        if self._warm is None or not self._warm.usable:
            self._warm = self._make(self.workspace)
        engine, self._warm = self._warm, None
        self._follow(engine)
        return engine

    def attach(self, run: RunDirectory) -> None:
        self._follow(AttachedRun(run, self.workspace))

    def _follow(self, handle: RunHandle) -> None:
        if self.handle is not None:
            self.handle.close()
        self.handle, self.escalator = handle, None

    def forget(self) -> None:
        """Follow no run any more."""
        if self.handle is not None:
            self.handle.close()
        self.handle = self.escalator = None

    def end_run(self) -> None:
        """Escalate in a separate thread; called again, skip the wait for the next step.

        Raises NothingToCommand where no signal reaches the engine.
        """
        if self.handle is None:
            return
        if self.escalator is not None and not self.escalator.escalation.over:
            self.escalator.skip_wait()
            return
        self.escalator = escalator_for(
            self.handle, self.workspace, who(), on_signal=self._note_kill, timeouts=self.timeouts
        )
        threading.Thread(target=self.escalator.escalate, name="escalation", daemon=True).start()

    def _note_kill(self, run: RunDirectory) -> None:
        from medtui.suites.store import note_kill

        with contextlib.suppress(MedtuiError):  # a full disk keeps no engine alive
            note_kill(run, self.workspace)

    def close(self) -> None:
        """Release both: a warm engine ends, a run continues."""
        for handle in (self._warm, self.handle):
            if handle is not None:
                handle.close()


def _command_line() -> list[str]:
    return ["medtui", *sys.argv[1:]]


def who() -> str:
    """By whom commands are given."""
    return f"console {os.getpid()}"
