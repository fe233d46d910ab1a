"""Predict images with a run's model, or with a bundle copied from one, in a separate engine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.contract.files.folders import Folder, file_at
from engine.contract.files.paths import path_status
from engine.contract.store.run_directory import read_object
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError
from engine.contract.wire.jobs import Predict
from engine.contract.wire.protocol import AnyEvent
from medtui.client.job import CLEANUP, do_job
from medtui.sentences import Predicting

BLOCK = 64 * 1024  # characters


@dataclass(frozen=True)
class Predictions:
    """What was written, and what was counted."""

    folder: Folder
    name: str
    summary: dict[str, Any]

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


def _copy(source: Any, target: Any) -> None:
    while block := source.read(BLOCK):
        target.write(block)


def refuse_existing(path: Path) -> None:
    """Before anything is computed for it. Raises OutputError."""
    if file_at(path).is_there:
        raise OutputError(Predicting.EXISTS, path=path)
    if not (folder := path_status(path.parent)).is_folder:
        raise OutputError(Predicting.UNWRITABLE, path=path, reason=f"there is no such folder{folder.why}")


@contextmanager
def predicted(
    model: Path,
    images: Sequence[str],
    workspace: Workspace,
    *,
    as_json: bool,
    tta: bool = False,
    by: str,
    cancelled: Callable[[], bool] = lambda: False,
    on_event: Callable[[AnyEvent], None] = lambda event: None,
) -> Iterator[Predictions]:
    """The predictions, which are gone after the block. Raises the error that the job ended with.

    images: files, folders, patterns and .npz archives, relative to the current folder.
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
        )
        do_job(start, workspace, cancelled, on_event, CLEANUP)
        yield Predictions(folder, f"predictions.{start.format}", read_object(folder.file("summary.json")) or {})
    finally:
        with contextlib.suppress(OSError):
            file_at(temporary).delete_tree()
