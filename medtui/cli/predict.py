"""`medtui predict`: the classes of images, by a run's model or a bundle copied from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtui.cli.completion import runs
from medtui.cli.options import JsonOption, WorkspaceOption, path_named

if TYPE_CHECKING:
    from medtui.client.predict import Predictions

SOME_UNREADABLE = 1  # exit code: the others were predicted
STDIN = "-"

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN|BUNDLE",
        help="A run, as for `medtui show`, or a folder with model.json and its weights.",
        autocompletion=runs,
    ),
]
ImagesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGES...",
        help="Image files, folders, quoted patterns, a .csv with a column of files, an .npz with `images` or "
        "`test_images`; `-` reads names from standard input, one per line or separated by NUL.",
    ),
]
TtaOption = Annotated[bool, typer.Option("--tta", help="Average over the views of test-time augmentation.")]
RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="FOLDER",
        parser=path_named,
        help="Folder that the paths of a table are relative to. [default: its own]",
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", parser=path_named, help="Write to this new file instead of the terminal."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")]


def predict(
    model: ModelArgument,
    images: ImagesArgument,
    tta: TtaOption = False,
    root: RootOption = None,
    output: OutputOption = None,
    force: ForceOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> int:
    """Predict the classes of images, as CSV or JSON lines.

    Exit code 0: all were predicted; 1: some could not be read, the others were predicted; 4: none could be read; 5:
    the model is damaged.
    """
    from engine.contract.files.paths import expanded, path_status
    from engine.contract.store.find_model import find_model
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from medtui.cli.job_progress import JobProgress
    from medtui.client.inputs import Inputs, files_of_model
    from medtui.client.output_file import check_output
    from medtui.client.predict import check_name, described, predicted
    from medtui.output import print_error, print_json_line
    from medtui.sentences import Predicting
    from medtui.text import json_line

    ws = find_workspace(workspace)
    folder, _ = find_model(ws.outputs, model)
    target = None if output is None else expanded(output)
    below = None if root is None else expanded(root)
    if below is not None and not (there := path_status(below)).is_folder:
        raise UsageError(Predicting.NO_ROOT, folder=root, why=there.why)
    words = list(_names(images))
    if not words or not all(words):  # an empty one is a shell variable that is not set
        raise UsageError(Predicting.NO_IMAGES)
    if target is not None:
        check_output(target, force=force, inputs=Inputs([*words, *files_of_model(folder)], below))
        check_name(target, as_json=json)
    with (
        JobProgress(quiet=json, on_stderr=True) as progress,
        predicted(
            folder,
            words,
            ws,
            as_json=json,
            tta=tta,
            root=below,
            by="medtui predict",
            on_event=progress,
        ) as found,
    ):
        summary = found.summary
        _deliver(found, target, force=force)
    if json:
        print_json_line(json_line({"summary": summary}))
    for line in described(summary, "; --json names all"):
        print_error(line)
    return SOME_UNREADABLE if summary["unreadable"] else 0


def _deliver(found: Predictions, target: Path | None, *, force: bool) -> None:
    from medtui.output import print_rows

    if target is None:
        print_rows(found.blocks())
    else:
        found.save(target, force=force)


def _names(images: list[str]) -> Iterator[str]:
    """The images as typed, and for `-` those of standard input."""
    from os import fsdecode

    for word in images:
        if word != STDIN:
            yield word
            continue
        given = sys.stdin.buffer.read() if sys.stdin is not None else b""
        separator = b"\0" if b"\0" in given else b"\n"
        yield from (fsdecode(name.rstrip(b"\r")) for name in given.split(separator) if name.strip())
