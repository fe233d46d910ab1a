"""`medtui data`: which data sets are here, fetch one, verify what is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtui.cli.options import DataOption, JsonOption, WorkspaceOption
from medtui.cli.shown import Shown

if TYPE_CHECKING:
    from medtui.client.data_sets import DataFile

app = typer.Typer(help="Data sets: list, fetch, verify.", no_args_is_help=True, rich_markup_mode=None)
MARKS = {"missing": "", "unverified": "?", "official": "✓", "damaged": "✗"}
SizeOption = Annotated[int, typer.Option("--size", help="Pixels a side: 28, 64, 128 or 224.")]


@app.command("list")
def list_(workspace: WorkspaceOption = None, data: DataOption = None, json: JsonOption = False) -> None:
    """Every data set, and which of its files are here."""
    from engine.contract.workspace import find_workspace
    from medtui.cli.run import data_folders
    from medtui.client.data_sets import inventory
    from medtui.text import json_text

    files = inventory(find_workspace(workspace), data_folders(data))
    if json:
        typer.echo(json_text(_values(files)))
    else:
        _print_table(files)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A data set of MedMNIST, as `medtui data list` names it.")],
    size: SizeOption = 28,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Put it in the place of a file of its name that is not the official one."),
    ] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch an official file into --data, $MEDTUI_DATA or ~/.medmnist, and verify its MD5."""
    from engine.contract.workspace import find_workspace
    from medtui.cli.run import data_folders
    from medtui.client.data_sets import fetch_data_set, inventory
    from medtui.text import json_text

    place, folders = find_workspace(workspace), data_folders(data)
    with Shown(quiet=json) as shown:
        fetch_data_set(name, size, place, folders, by="medtui data fetch", replace=replace, tell=shown)
    if json:
        (file,) = [file for file in inventory(place, folders) if (file.facts.name, file.size) == (name, size)]
        typer.echo(json_text(_file_values(file)))


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="A data set; without it, every file that is here.")] = None,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> int:
    """Read files anew: MD5 and structure. Exit code 4 when one is damaged."""
    from engine.contract.errors import DataError, MedtuiError
    from engine.contract.workspace import find_workspace
    from medtui.cli.run import data_folders
    from medtui.client.data_sets import inventory, verify_data_set
    from medtui.text import clean, json_text

    place, folders = find_workspace(workspace), data_folders(data)
    _known(name)
    files = [file for file in inventory(place, folders) if file.path and name in (None, file.facts.name)]
    if not files:
        raise DataError(f"No file of {name or 'any data set'} is here.", "`medtui data list` shows what there is.")
    damaged: dict[str, str] = {}
    with Shown(quiet=json) as shown:
        for file in files:
            try:
                verify_data_set(file, place, folders, by="medtui data verify", tell=shown)
            except MedtuiError as error:
                if error.exit_code != DataError.exit_code:
                    raise
                damaged[file.label] = str(error)
                typer.echo(f"medtui: {clean(str(error), 4000)}", err=True)
    if json:
        checked = [file for file in inventory(place, folders) if file.label in {file.label for file in files}]
        typer.echo(json_text([_file_values(file) | {"error": damaged.get(file.label)} for file in checked]))
    return DataError.exit_code if damaged else 0


def _known(name: str | None) -> None:
    """Raises UsageError for what is no data set of MedMNIST."""
    from engine.contract.datasets import datasets
    from engine.contract.errors import UsageError

    names = [facts.name for facts in datasets().values() if not facts.synthetic]
    if name is not None and name not in names:
        raise UsageError(f"Expected a data set of MedMNIST, found {name!r}.", f"There are {', '.join(names)}.")


def _print_table(files: list[DataFile]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from engine.contract.data_files import bytes_words
    from engine.contract.datasets import SIZES, datasets
    from medtui.text import clean

    table = Table(box=None, pad_edge=False)
    for title in ("data set", *(f"{size} px" for size in SIZES)):
        table.add_column(title, no_wrap=True)
    for facts in datasets().values():
        if facts.synthetic:
            table.add_row(facts.name, "drawn")
            continue
        own = [file for file in files if file.facts is facts]
        cells = [MARKS[file.state] or f"≤ {bytes_words(facts.largest(file.size))}" for file in own]
        table.add_row(facts.name, *cells)
    console = Console(highlight=False, emoji=False)
    console.print(table)
    console.print("\n✓ MD5 ok   ? here, not verified yet   ✗ not the official file   ≤ size when fetched")
    for file in files:
        if file.path is not None:
            console.print(Text(f"{MARKS[file.state]} {clean(str(file.path))}"), soft_wrap=True)


def _values(files: list[DataFile]) -> list[dict[str, Any]]:
    from engine.contract.datasets import datasets

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
        for facts in datasets().values()
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
