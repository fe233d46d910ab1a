"""`medtui predict`: the classes of images, by a run's model or a bundle copied from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtui.cli.completion import runs
from medtui.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from medtui.client.predict import Predictions

SOME_UNREADABLE = 1  # exit code: the others were predicted
NAMED = 20  # unreadable images on standard error; `--json` names all
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
        help="Image files, folders, quoted patterns, an .npz with `images` or `test_images`; `-` reads names from "
        "standard input, one per line or separated by NUL.",
    ),
]
TtaOption = Annotated[bool, typer.Option("--tta", help="Average over the views of test-time augmentation.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", readable=False, help="Write to this new file instead of the terminal.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")]


def predict(
    model: ModelArgument,
    images: ImagesArgument,
    tta: TtaOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> int:
    """Predict the classes of images, as CSV or JSON lines.

    Exit code 0: all were predicted; 1: some could not be read, the others were predicted; 4: none could be read, or
    the model is damaged.
    """
    from engine.contract.files.paths import expanded
    from engine.contract.store.find_model import find_model
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from medtui.cli.job_progress import JobProgress
    from medtui.client.predict import predicted, refuse_existing
    from medtui.output import print_error, print_json_line
    from medtui.sentences import Predicting
    from medtui.text import json_line

    ws = find_workspace(workspace)
    folder, _ = find_model(ws.outputs, model)
    target = None if output is None else expanded(output)
    if target is not None and not force:
        refuse_existing(target)
    words = list(_names(images))
    if not words or not all(words):  # an empty one is a shell variable that is not set
        raise UsageError(Predicting.NO_IMAGES)
    with (
        JobProgress(quiet=json, on_stderr=True) as progress,
        predicted(folder, words, ws, as_json=json, tta=tta, by="medtui predict", on_event=progress) as found,
    ):
        summary = found.summary
        _deliver(found, target, force=force)
    if json:
        print_json_line(json_line({"summary": summary}))
    for line in _described(summary):
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
        given = sys.stdin.buffer.read()
        separator = b"\0" if b"\0" in given else b"\n"
        yield from (fsdecode(name.rstrip(b"\r")) for name in given.split(separator) if name.strip())


def _described(summary: dict[str, Any]) -> Iterator[str]:
    """What people are told besides the rows."""
    from engine.contract.wire.protocol import Metrics
    from medtui.text import interval, number

    unreadable: dict[str, str] = summary["unreadable"]
    for name, reason in list(unreadable.items())[:NAMED]:
        yield f"{name}: {reason}"
    if len(unreadable) > NAMED:
        yield f"and {len(unreadable) - NAMED} more; --json names all"
    yield _counted(summary)
    if summary["temperature"] is None:
        yield "Uncalibrated: the bundle has no temperature, so the probabilities are the model's scores."
    if summary["unlike"] is None:
        yield "The bundle has no features of the training images, so nothing is marked as unlike them."
    if summary["metrics"] is not None:
        metrics = Metrics.model_validate(summary["metrics"])
        auc, acc = interval(metrics.auc_ci95), interval(metrics.acc_ci95)
        yield f"With the labels given: AUC {number(metrics.auc)} ({auc}), ACC {number(metrics.acc)} ({acc})"


def _counted(summary: dict[str, Any]) -> str:
    count = summary["predicted"]
    parts = [f"{count:,} image{'s' * (count != 1)} predicted"]
    if summary["unreadable"]:
        parts.append(f"{len(summary['unreadable']):,} could not be read")
    if summary["ignored"]:
        parts.append(f"{summary['ignored']:,} other files in folders passed over")
    if summary["unlike"]:
        parts.append(f"{summary['unlike']:,} unlike the training images")
    return ", ".join(parts) + "."
