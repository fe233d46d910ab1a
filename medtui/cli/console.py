"""`medtui` without a command: the console."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.store.run_directory import RunDirectory


def open_console(
    workspace: Path | None, data: Path | None, *, readonly: bool, attach: RunDirectory | None = None
) -> int:
    """Open it and stay until the user leaves; `attach` names a run to watch. Raises UsageError without a terminal."""
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from medtui import terminal
    from medtui.output import not_terminals
    from medtui.preferences import remember_workspace
    from medtui.sentences import CommandLine
    from medtui.settings import read_settings

    if missing := not_terminals():
        streams = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        raise UsageError(CommandLine.NO_TERMINAL, streams=f"{streams} {'is' if len(missing) == 1 else 'are'}")
    if (remedy := terminal.remedy()) is not None:
        found = terminal.describe_terminal()
        raise UsageError(CommandLine.UNSUITABLE_TERMINAL, terminal=found, remedy=remedy)
    ws = find_workspace(workspace)
    if data is not None:
        from engine.contract.data.archives import given_folder  # most give none, and it takes its time to import

        data = given_folder(data)
    remember_workspace(ws.root)
    _drop_invalid_colour_system()
    from medtui.console.shell.garbage import pause_search

    pause_search()
    from medtui.console.app import app_for
    from medtui.console.terminal_restore import run_and_restore

    return run_and_restore(app_for(ws, data, read_settings(), readonly=readonly, attach=attach))


def _drop_invalid_colour_system() -> None:
    """Textual ends with a KeyError when this variable, which others may have set, names no colour system it knows."""
    if os.environ.get("TEXTUAL_COLOR_SYSTEM", "auto") not in ("auto", "standard", "256", "truecolor", "windows"):
        del os.environ["TEXTUAL_COLOR_SYSTEM"]
