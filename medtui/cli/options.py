"""Options shared by several commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from medtui.cli.completion import runs


def _forbid_fetching(offline: bool) -> bool:
    """For every engine that this process starts, whichever command does it."""
    if offline:
        os.environ["MEDTUI_OFFLINE"] = "1"
    return offline


def path_named(word: str | Path) -> Path:
    """What an option or argument says; whether anything is there, our own messages tell. Raises UsageError.

    An empty one is a shell variable that is not set: as a path it would be the current folder.
    """
    if word == "":
        from engine.contract.wire.errors import UsageError
        from medtui.sentences import CommandLine

        raise UsageError(CommandLine.PATH_EMPTY)
    return Path(word)


path_named.__name__ = "path"  # as some versions of the parser call it in their help
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        metavar="FOLDER",
        parser=path_named,
        help="Folder that holds outputs/. [default: nearest enclosing folder with .git or README.md]",
    ),
]
WorkspacesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--workspace",
        metavar="FOLDER",
        parser=path_named,
        show_default=False,
        help="Folder that holds outputs/; repeat it for several. [default: nearest enclosing folder with .git or "
        "README.md]",
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Include every workspace that you have used.")]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", parser=path_named, help="Folder to search first for data set files."),
]
PutDataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        parser=path_named,
        show_default=False,
        help="Existing folder to put the file into. [default: $MEDTUI_DATA, else ~/.medmnist]",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
OfflineOption = Annotated[
    bool, typer.Option("--offline", callback=_forbid_fetching, help="Download nothing, as with MEDTUI_OFFLINE=1.")
]
SlotsOption = Annotated[
    int | None,
    typer.Option("--slots", help="How many runs at once. [default: one per GPU; one on a CPU]", show_default=False),
]
OnOption = Annotated[
    str | None,
    typer.Option("--on", metavar="slurm", help="Submit the runs as jobs of a cluster, instead of running them here."),
]
SlurmOption = Annotated[
    list[str] | None,
    typer.Option("--slurm", metavar="FIELD=VALUE", help="What each job requests, with --on: partition=gpu, gpus=1 …"),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run directory, a run name or a unique part of it, a prefix of its recipe_hash or "
        "resolved_hash, or `last`: the run that holds the workspace, else the one most recently started or resumed.",
        autocompletion=runs,
    ),
]
