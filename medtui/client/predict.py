"""Predict images with a run's model, or with a bundle copied from one, in a separate engine."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from engine.contract.files.folders import Folder, file_at
from engine.contract.store.run_directory import read_object
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError
from engine.contract.wire.jobs import Predict
from engine.contract.wire.protocol import AnyEvent, Metrics
from engine.contract.wire.text import counted
from medtui.client.job import CLEANUP, do_job
from medtui.client.output_file import check_ending
from medtui.sentences import Predicting
from medtui.text import clean, interval, number

BLOCK = 64 * 1024  # characters
NAMED = 20  # unreadable images


@dataclass(frozen=True)
class PredictedImage:
    """One row of the table."""

    path: str
    prediction: str  # of multi-label every label that is predicted, with `;` between them
    confidence: float
    unlike: bool | None  # None where the bundle does not know
    label: str | None
    probabilities: tuple[tuple[str, float], ...]  # by class, in the model's order


def predicted_image(head: list[str], row: list[str]) -> PredictedImage:
    """Of a row of the CSV below its head; classes may have equal names. Raises ValueError for one that is none."""
    prefix = "probability "
    values = dict(zip(head, row, strict=True))
    probabilities = [(name, value) for name, value in zip(head, row, strict=True) if name.startswith(prefix)]
    return PredictedImage(
        values["path"],
        values["prediction"],
        float(values["confidence"]),
        None if values["unlike"] == "" else values["unlike"] == "1",
        values.get("label"),
        tuple((name.removeprefix(prefix), float(value)) for name, value in probabilities),
    )


@dataclass(frozen=True)
class Predictions:
    """What was written, and what was counted."""

    folder: Folder
    name: str
    summary: dict[str, Any]

    def first(self, count: int) -> list[PredictedImage]:
        """What was predicted of the first images. Raises OSError, or ValueError where the rows are not a table."""
        with io.TextIOWrapper(self.folder.file(self.name).reading(), encoding="utf-8", newline="") as text:
            head, *rows = islice(csv.reader(text), count + 1)
        return [predicted_image(head, row) for row in rows]

    def pictures(self) -> dict[str, Any]:
        """The pixels of the first images, as the engine stored them; empty where it was not asked to."""
        return read_object(self.folder.file("pictures.json")) or {}

    def blocks(self) -> Iterator[str]:
        """The text of the rows."""
        with io.TextIOWrapper(self.folder.file(self.name).reading(), encoding="utf-8", newline="") as text:
            while block := text.read(BLOCK):
                yield block

    def save(self, path: Path, *, force: bool) -> None:
        """To a new file; over one that is there only by `force`. Raises OutputError."""
        content = self.folder.file(self.name)
        try:
            if force:
                with content.reading() as source, file_at(path).replacing() as target:
                    _copy(source, target)
                return
            descriptor = file_at(path).descriptor(os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            try:
                with os.fdopen(descriptor, "wb") as target, content.reading() as source:
                    _copy(source, target)
            except BaseException:
                file_at(path).delete()
                raise
        except FileExistsError:
            raise OutputError(Predicting.EXISTS, path=path) from None
        except OSError as error:
            raise OutputError(Predicting.UNWRITABLE, path=path, reason=error.strerror) from None


def check_name(path: Path, *, as_json: bool) -> None:
    """Does the name of a file say what is written? Raises OutputError."""
    if as_json:
        check_ending(path, (".jsonl", ".ndjson", ".json", ".txt", ""), "--json writes a line of JSON per image.")
    else:
        check_ending(path, (".csv", ".txt", ""), "Choose another name; `medtui predict --json` writes JSON.")


def _copy(source: Any, target: Any) -> None:
    while block := source.read(BLOCK):
        target.write(block)


@contextmanager
def predicted(
    model: Path,
    images: Sequence[str],
    workspace: Workspace,
    *,
    as_json: bool,
    tta: bool = False,
    root: Path | None = None,
    pictures: int = 0,
    by: str,
    cancelled: Callable[[], bool] = lambda: False,
    on_event: Callable[[AnyEvent], None] = lambda event: None,
) -> Iterator[Predictions]:
    """The predictions, which are gone after the block. Raises the error that the job ended with.

    images: files, folders, patterns and .npz archives, relative to the current folder; root: what paths in
    tables are relative to, where it is not the table's own folder. pictures: of how many of them
    the pixels are wanted.
    """
    temporary = Path(tempfile.mkdtemp(prefix="medtui-"))
    try:
        folder = Folder(temporary)
        words = folder.file("images.json")
        words.write(json.dumps(list(images)), durable=False, private=True)
        start = Predict(
            id="start",
            by=by,
            model=str(model),
            images=str(words),
            output=str(temporary),
            format="jsonl" if as_json else "csv",
            tta=tta,
            root=str(root) if root is not None else None,
            pictures=pictures,
        )
        do_job(start, workspace, cancelled, on_event, CLEANUP)
        yield Predictions(folder, f"predictions.{start.format}", read_object(folder.file("summary.json")) or {})
    finally:
        with contextlib.suppress(OSError):
            file_at(temporary).delete_tree()


# ---- what people are told besides the rows ---------------------------------------------------------------------------


def described(summary: dict[str, Any], rest: str = "") -> Iterator[str]:
    """`rest`: where the unreadable images are that are not named here."""
    unreadable: dict[str, str] = summary["unreadable"]
    for name, reason in list(unreadable.items())[:NAMED]:
        yield f"{name}: {reason}"
    if len(unreadable) > NAMED:
        yield f"and {len(unreadable) - NAMED} more{rest}"
    yield _counted(summary)
    if files := summary.get("file_columns"):
        yield f"The files are those named in {clean(', '.join(files), 80)}; other columns could name files too."
    if summary["temperature"] is None:
        why = f" {summary['uncalibrated']}" if summary.get("uncalibrated") else ""
        yield f"Uncalibrated: the bundle has no temperature, so the probabilities are the model's scores.{why}"
    if summary["unlike"] is None:
        yield "The bundle has no features of the training images, so nothing is marked as unlike them."
    yield from (f"Not evaluated: {why.rstrip('.')}." for why in summary.get("labels_unused", ()))
    if summary["metrics"] is not None:
        metrics = Metrics.model_validate(summary["metrics"])
        auc, acc = interval(metrics.auc_ci95), interval(metrics.acc_ci95)
        columns = ", ".join(summary.get("label_columns", ()))
        given = f"given, in {clean(columns, 80)}" if columns else "given"
        yield f"With the labels {given}: AUC {number(metrics.auc)} ({auc}), ACC {number(metrics.acc)} ({acc})"


def _counted(summary: dict[str, Any]) -> str:
    count = summary["predicted"]
    parts = [f"{count:,} image{'s' * (count != 1)} predicted"]
    if summary["unreadable"]:
        parts.append(f"{len(summary['unreadable']):,} could not be read")
    if summary["ignored"]:
        parts.append(f"{counted(summary['ignored'], 'file')} without an image extension skipped")
    if summary["unlike"]:
        parts.append(f"{summary['unlike']:,} unlike the training images")
    return ", ".join(parts) + "."
