"""The experiment trackers that a run's recipe names: each a process of its own, `medtui track`, started with the run.

Whatever becomes of one, the run does not notice: it follows the journal as anybody may, later too.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from engine.contract.files.folders import File
from engine.contract.recipe.runtime_section import TRACKERS
from engine.contract.recipe.setting import names_of
from engine.contract.recipe.yaml_reader import read_yaml_file
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from engine.contract.wire.jobs import Start, Train
from medtui.client.state import RunState
from medtui.isolation import engine_environment
from medtui.sentences import Tracking

FOLDER = ".tracking"  # in a run's: what its trackers print, and their locks
PATIENCE = 30.0  # seconds for trackers to write the rest, after a run without a console
HELD = 3  # exit code of a tracker where another process writes the same
TURN = 0.1  # seconds between polls of them


def is_installed(tracker: str) -> bool:
    """Without importing it. A folder of that name, which some of them make, is no package."""
    try:
        found = importlib.util.find_spec(tracker)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None


def trackers_of(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """Those that a recipe's values name; what is invalid is none."""
    runtime = recipe.get("runtime")
    named = runtime.get("track") if isinstance(runtime, Mapping) else None
    names = names_of(named) if isinstance(named, str) else named if isinstance(named, list) else ()
    return tuple(name for name in TRACKERS if name in names)


def missing_trackers(recipe: Mapping[str, Any]) -> list[str]:
    """A sentence for each that the recipe names and that is not installed. For before the run."""
    names = [name for name in trackers_of(recipe) if not is_installed(name)]
    return [" ".join(Tracking.WITHOUT_PACKAGE.text(tracker=name)) for name in names]


def make_folder(run: RunDirectory) -> File:
    """Raises OSError."""
    folder = run.folder.file(FOLDER)
    folder.make_folder(exist_ok=True)
    return folder


class RunTrackers:
    """Those of the run that a start command begins."""

    def __init__(self, start: Start, workspace: Workspace) -> None:
        self._start, self._workspace = start, workspace
        self._run: RunDirectory | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def poll(self, state: RunState) -> None:
        """Start them once the run has its directory. Never raises: a run does not fail for them."""
        run = state.run_directory
        if self._run is not None or run is None or not isinstance(self._start, Train):
            return
        self._run = run
        with contextlib.suppress(OSError, MedtuiError):
            recipe = self._start.recipe or read_yaml_file(run.recipe).values  # a resumed run has its own
            for name in filter(is_installed, trackers_of(recipe)):
                self._processes[name] = _started(name, run, self._workspace)

    def wait(self, note: Callable[[str], None], interrupted: Callable[[], bool]) -> None:
        """Wait a while for the rest to be written, as what ends with this process may end them too. `note` shows what
        did not succeed, or is not over."""
        deadline = time.monotonic() + PATIENCE
        while any(process.poll() is None for process in self._processes.values()):
            if time.monotonic() > deadline or interrupted():
                break
            time.sleep(TURN)
        for name, process in self._processes.items():
            sentence = Tracking.STILL_RUNNING if process.poll() is None else Tracking.ENDED
            if process.returncode not in (0, HELD) and (run := self._run) is not None:
                log = run.folder.file(FOLDER) / f"{name}.log"
                note(" ".join(sentence.text(tracker=name, run=run.name, log=log)))


def _started(name: str, run: RunDirectory, workspace: Workspace) -> subprocess.Popen[bytes]:
    """In the folder of the caller, whose settings of these tools may be relative. Raises OSError."""
    command = [sys.executable, "-P", "-m", "medtui", "track", str(run.root), "--to", name, "--follow"]
    command += ["--workspace", str(workspace.root)]
    log = (make_folder(run) / f"{name}.log").descriptor(os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=engine_environment(),
        )
    finally:
        os.close(log)
