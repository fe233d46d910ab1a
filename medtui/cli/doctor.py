"""`medtui doctor`: what the Machine screen's diagnostics say, without a console."""

from __future__ import annotations

from medtui.cli.options import DataOption, JsonOption, WorkspaceOption


def doctor(workspace: WorkspaceOption = None, data: DataOption = None, json: JsonOption = False) -> int:
    """Check the machine; exit code 1 when a check fails."""
    return 0
