"""`medtui data`: list data sets, fetch one, verify the files on disk; the other commands are in files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtui.cli.commands import COMMANDS
from medtui.cli.completion import official_data_sets
from medtui.cli.data_files import export, import_, info, synth
from medtui.cli.data_prune import prune
from medtui.cli.explore import explore
from medtui.cli.job_progress import JobProgress
from medtui.cli.options import DataOption, JsonOption, OfflineOption, PutDataOption, WorkspaceOption
from medtui.cli.unknown import Commands

if TYPE_CHECKING:
    from engine.contract.store.workspace import Workspace
    from medtui.client.data_sets import DataFile

app = typer.Typer(
    help=COMMANDS["data"].summary,
    no_args_is_help=True,
    cls=Commands,
    rich_markup_mode=None,
)
MARKS = {"missing": "", "unverified": "?", "official": "✓", "damaged": "✗"}
SizeOption = Annotated[int, typer.Option("--size", help="Image size in pixels: 28, 64, 128 or 224.")]


@app.command("list")
def list_(workspace: WorkspaceOption = None, data: DataOption = None, json: JsonOption = False) -> None:
    """List every data set and which of its files are on disk."""
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.run import data_folders
    from medtui.client.data_sets import inventory
    from medtui.output import print_json

    ws, folders = find_workspace(workspace), data_folders(data)
    _report_skipped_folders(ws, folders)
    files = inventory(ws, folders)
    if json:
        print_json(_values(files))
    else:
        _print_table(files)


@app.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(help="A MedMNIST data set, as named by `medtui data list`.", autocompletion=official_data_sets),
    ],
    size: SizeOption = 28,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Overwrite an existing file of that name that is not the official one."),
    ] = False,
    workspace: WorkspaceOption = None,
    data: PutDataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Download an official file and verify its MD5. The file goes to --data, else $MEDTUI_DATA, else ~/.medmnist."""
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.run import data_folders
    from medtui.client.data_sets import fetch_data_set, inventory
    from medtui.output import print_json

    _known(name)
    ws, folders = find_workspace(workspace), data_folders(data)
    with JobProgress(quiet=json) as progress:
        by = "medtui data fetch"
        fetch_data_set(name, size, ws, folders, by=by, replace=replace, offline=offline, on_event=progress)
    if json:
        (file,) = [file for file in inventory(ws, folders) if (file.facts.name, file.size) == (name, size)]
        print_json(_file_values(file))


@app.command()
def verify(
    name: Annotated[
        str | None,
        typer.Argument(help="A data set. [default: every file on disk]", autocompletion=official_data_sets),
    ] = None,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> int:
    """Verify MD5 and structure of files on disk. Exit code 4 if one is damaged."""
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import DataError, MedtuiError
    from medtui.cli.run import data_folders
    from medtui.client.data_sets import inventory, verify_data_set
    from medtui.output import print_error, print_json
    from medtui.sentences import DataFiles

    ws, folders = find_workspace(workspace), data_folders(data)
    _known(name)
    _report_skipped_folders(ws, folders)
    files = [file for file in inventory(ws, folders) if file.path and name in (None, file.facts.name)]
    if not files:
        if name is not None:
            raise DataError(DataFiles.NOT_FOUND, name=name)
        raise DataError(DataFiles.NONE_FOUND)
    damaged: dict[str, str] = {}
    with JobProgress(quiet=json) as progress:
        for file in files:
            try:
                verify_data_set(file, ws, folders, by="medtui data verify", on_event=progress)
            except MedtuiError as error:
                if error.exit_code != DataError.exit_code:
                    raise
                damaged[file.label] = str(error)
                print_error(f"medtui: {error}")
    if json:
        checked = [file for file in inventory(ws, folders) if file.label in {file.label for file in files}]
        print_json([_file_values(file) | {"error": damaged.get(file.label)} for file in checked])
    return DataError.exit_code if damaged else 0


app.command()(info)
app.command()(explore)
app.command("import")(import_)
app.command()(export)
app.command()(synth)
app.command()(prune)


def _report_skipped_folders(workspace: Workspace, data: list[str]) -> None:
    from engine.contract.data.archives import data_folders, unreadable_folders
    from medtui.output import print_error

    for folder, reason in unreadable_folders(data_folders(data, workspace.root)).items():
        print_error(f"medtui: {folder} is skipped: {reason}.")


def _known(name: str | None) -> None:
    """Raises UsageError for what is no data set of MedMNIST."""
    from engine.contract.recipe.sources import known_sets, official_source
    from engine.contract.wire.errors import UsageError
    from medtui.sentences import DataFiles

    if name in {facts.name for facts in known_sets() if not facts.archives}:
        raise UsageError(DataFiles.GENERATED, name=name)
    if name is not None:
        official_source(name, 28, "{name} --size {size}")


def _print_table(files: list[DataFile]) -> None:
    from rich.table import Table

    from engine.contract.data.datasets import SIZES
    from engine.contract.recipe.sources import known_sets
    from engine.contract.wire.text import format_bytes
    from medtui.rich_output import stdout_console

    table = Table(box=None, pad_edge=False)
    for title in ("data set", *(f"{size} px" for size in SIZES)):
        table.add_column(title, no_wrap=True)
    for facts in known_sets():
        if not facts.archives:
            table.add_row(facts.name, "generated")
            continue
        own = [file for file in files if file.facts is facts]
        cells = [MARKS[file.state] or f"≤ {format_bytes(facts.largest(file.size))}" for file in own]
        table.add_row(facts.name, *cells)
    console = stdout_console()
    console.print(table)
    console.print()
    console.print("✓ MD5 ok   ? not verified yet   ✗ not the official file   ≤ size when fetched")
    for file in files:
        if file.path is not None:
            console.print(f"{MARKS[file.state]} {file.path}", soft_wrap=True)


def _values(files: list[DataFile]) -> list[dict[str, Any]]:
    from engine.contract.recipe.sources import known_sets

    return [
        {
            "name": facts.name,
            "title": facts.title,
            "task": facts.task,
            "classes": facts.classes,
            "images": facts.splits,
            "synthetic": facts.synthetic,
            "licence": facts.licence,
            "files": [_file_values(file) for file in files if file.facts is facts],
        }
        for facts in known_sets()
    ]


def _file_values(file: DataFile) -> dict[str, Any]:
    return {
        "dataset": file.facts.name,
        "size": file.size,
        "state": file.state,
        "path": str(file.path) if file.path else None,
        "file_name": file.archive.file_name,
        "url": file.archive.url,
        "md5": file.archive.md5,
        "found_md5": file.found_md5,
        "at_most_bytes": file.facts.largest(file.size),
    }
