"""The engines of a console: one kept warm, and the run that is watched."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from engine.contract.lock import is_locked, read_holder
from engine.contract.recipe_file import build_recipe
from engine.contract.run_directory import RunDirectory
from engine.contract.workspace import Workspace
from engine.contract.yaml_reader import read_yaml_file
from medtui.client.attached import AttachedRun
from medtui.client.climb import Bounds, Climb, climb_of
from medtui.client.resume import resume_command
from medtui.client.view import RunView
from medtui.client.watch import OwnEngine, Watched


class Engines:
    def __init__(self, workspace: Workspace, make: Callable[[Workspace], OwnEngine], *, keep_warm: bool) -> None:
        self.workspace = workspace
        self.watched: Watched | None = None
        self.climb: Climb | None = None  # of the run that is watched
        self.bounds = Bounds()  # of the ladder
        self._make = make
        self._keep_warm = keep_warm
        self._warm: OwnEngine | None = None

    @property
    def view(self) -> RunView | None:
        return self.watched.view if self.watched is not None else None

    @property
    def busy(self) -> bool:
        return self.view is not None and self.view.active

    @property
    def trains_here(self) -> bool:
        """Does an engine of this console train?"""
        return self.busy and self.view is not None and self.view.own

    @property
    def own_pid(self) -> int | None:
        """The process of the watched engine, where it is this console's own."""
        return self.watched.engine.pid if isinstance(self.watched, OwnEngine) else None

    def held_by_another(self) -> str | None:
        """Who holds the workspace, in words; None for nobody, and for an engine of this console."""
        if not is_locked(self.workspace.lock_file):
            return None
        holder = read_holder(self.workspace.lock_file)
        if holder is None:
            return "another process"
        return None if holder.pid == self.own_pid else f"engine {holder.pid} on {holder.host}"

    def warm_up(self) -> None:
        """Start an engine while the user still reads the recipe."""
        if self._keep_warm and (self._warm is None or not self._warm.usable):
            self._warm = self._make(self.workspace)

    def train(self, recipe: dict[str, Any], data: list[str]) -> None:
        self._take().start(recipe, data, _command_line(), who())

    def resume(self, run: RunDirectory, data: list[str]) -> None:
        """Go on with a run, by its own recipe. Raises MedtuiError for one that cannot go on."""
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
        """The warm engine, or a new one where it is of no use; it is watched from now on."""
        if self._warm is None or not self._warm.usable:
            self._warm = self._make(self.workspace)
        engine, self._warm = self._warm, None
        self._watch(engine)
        return engine

    def attach(self, run: RunDirectory) -> None:
        self._watch(AttachedRun(run, self.workspace))

    def _watch(self, watched: Watched) -> None:
        if self.watched is not None:
            self.watched.close()
        self.watched, self.climb = watched, None

    def end_run(self) -> None:
        """Climb the whole ladder, in a thread of its own; asked for again, the next rung at once.

        Raises NothingToCommand where no signal reaches the engine.
        """
        if self.watched is None:
            return
        if self.climb is not None and not self.climb.ascent.over:
            self.climb.hurry()
            return
        self.climb = climb_of(self.watched, self.workspace, who(), bounds=self.bounds)
        threading.Thread(target=self.climb.climb, name="climb", daemon=True).start()

    def close(self) -> None:
        """Let go of both: a warm engine ends, a run goes on."""
        for watched in (self._warm, self.watched):
            if watched is not None:
                watched.close()


def _command_line() -> list[str]:
    return ["medtui", *sys.argv[1:]]


def who() -> str:
    """By whom commands are given."""
    return f"console {os.getpid()}"
