"""`medtui` without a command: the console."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.run_directory import RunDirectory


def on_a_terminal() -> bool:
    """Can the console be shown and typed to? It is drawn on standard error."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def open_console(
    workspace: Path | None, data: Path | None, *, readonly: bool, attach: RunDirectory | None = None
) -> int:
    """Open it and stay until the user leaves; `attach` names a run to watch. Raises UsageError without a terminal."""
    from engine.contract.errors import UsageError
    from engine.contract.workspace import find_workspace
    from medtui.settings import read_settings

    if not on_a_terminal():
        raise UsageError("The console needs a terminal.", "`medtui run RECIPE` trains without one.")
    place = find_workspace(workspace)
    if data is not None and not data.is_dir():
        raise UsageError(f"Expected a folder for --data, found none at {data}.", "Name the folder of the .npz files.")
    gc.disable()  # until the first picture: nothing that an import makes is garbage
    from medtui.console.app import app_for
    from medtui.console.leaving import run_and_restore

    return run_and_restore(app_for(place, data, read_settings(), readonly=readonly, attach=attach))
