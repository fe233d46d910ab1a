"""`medtui data explore`: what is in a source of images, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtui.cli.completion import runs
from medtui.cli.data_source import SizeOption, SourceArgument, section_of
from medtui.cli.options import DataOption, JsonOption, OfflineOption, WorkspaceOption, path_named

if TYPE_CHECKING:
    from rich.table import Table

    from engine.contract.data.exploration import Exploration
    from engine.contract.store.workspace import Workspace

REST = "--json lists them, --html shows them"
HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", parser=path_named, help="Write a page with pictures to this file."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the page if it exists.")]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN|BUNDLE",
        help="List the labels that this run's model doubts. Without SOURCE, the run's images are explored.",
        autocompletion=runs,
    ),
]


def explore(
    source: SourceArgument = None,
    run: RunOption = None,
    html: HtmlOption = None,
    force: ForceOption = False,
    size: SizeOption = None,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Show what is in a data set or your images, and what is wrong.

    Classes, sizes, duplicates, damaged files, groups across splits; nothing is changed.
    The page of --html shows images of each class and finding, and needs no network.
    """
    from engine.contract.files.paths import absolute, expanded
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.job_progress import JobProgress
    from medtui.cli.run import data_folders
    from medtui.client.data_sets import search_paths
    from medtui.client.explore import explored
    from medtui.client.inputs import files_of_model, inputs_of
    from medtui.client.output_file import check_ending, check_output
    from medtui.output import print_error, print_json

    ws = find_workspace(workspace)
    section, model = _asked(source or [], run, size, ws)
    if html is not None:
        inputs = inputs_of(section, search_paths(ws, data_folders(data)), source or [])
        model_files = [] if model is None else files_of_model(model)
        check_output(expanded(html), force=force, inputs=inputs.with_more(model_files))
        check_ending(expanded(html), (".html", ".htm", ""))
    page = absolute(expanded(html)) if html is not None else None
    with (
        JobProgress(quiet=json, on_stderr=True) as progress,
        explored(
            section,
            ws,
            data_folders(data),
            model=model,
            offline=offline,
            by="medtui data explore",
            on_event=progress,
        ) as result,
    ):
        found = result.found
        if page is not None:
            result.save_page(page)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        _print(found)
    if page is not None:
        print_error(f"Written to {page}.")


def _asked(words: list[str], run: str | None, size: int | None, ws: Workspace) -> tuple[dict[str, Any], Path | None]:
    """The section of the source, and the folder of the model. Raises UsageError and RecipeError."""
    from engine.contract.recipe.reader import read_recipe
    from engine.contract.store.find_model import find_model
    from engine.contract.wire.errors import UsageError
    from medtui.sentences import Exploring

    model, trained = find_model(ws.outputs, run) if run is not None else (None, None)
    section = section_of(words, size)
    if section is None and trained is not None:
        section = read_recipe(trained.recipe).dataset.model_dump(mode="json")
    if section is None:
        raise UsageError(Exploring.NO_SOURCE_NOR_RUN)
    return section, model


# ---- for people ------------------------------------------------------------------------------------------------------


def _print(found: Exploration) -> None:
    from medtui.client.explored_text import findings, heading
    from medtui.rich_output import stdout_console

    console = stdout_console()
    for line in heading(found):
        console.print(line, soft_wrap=True, markup=False)
    console.print()
    console.print(_classes(found))
    console.print()
    for line in findings(found, REST):
        console.print(line, soft_wrap=True, markup=False)


def _classes(found: Exploration) -> Table:
    from rich.table import Table

    from medtui.client.explored_text import by_channel
    from medtui.text import clean

    table = Table(box=None, pad_edge=False)
    table.add_column("class", max_width=40)
    for title in (*found.splits, "of training", "mean", "deviation"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in found.classes:
        counts = [f"{one.images[split]:,}" for split in found.splits]
        rarity = f"{'rare ' if one.rare else ''}{100 * one.fraction:.1f} %"
        table.add_row(clean(one.name, 60), *counts, rarity, by_channel(one.mean), by_channel(one.deviation))
    if len(found.classes) > 1:
        total = [f"{split.images:,}" for split in found.splits.values()]
        training = found.splits["train"]
        table.add_row("all", *total, "", by_channel(training.mean), by_channel(training.deviation), style="bold")
    return table
