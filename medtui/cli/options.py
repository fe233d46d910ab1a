"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", help="Folder that holds outputs/; else the nearest one upward with .git or README.md."),
]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder to look in first for data set files.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Fetch nothing, as with MEDTUI_OFFLINE=1.")]
RunArgument = Annotated[
    str,
    typer.Argument(
        help="A run directory, its name, a unique part of it, or `last`: the run that holds the workspace, else the "
        "one that was last started or resumed."
    ),
]
