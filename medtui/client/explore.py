"""Explore a source of images in a separate engine."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.contract.data.exploration import Exploration
from engine.contract.files.folders import Folder, file_at
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError
from engine.contract.wire.jobs import Explore
from engine.contract.wire.protocol import AnyEvent
from medtui.client.job import CLEANUP, do_job
from medtui.sentences import Exploring

LIMIT = 1024**3  # bytes of a page
RESULT, PAGE = "exploration.json", "exploration.html"


@dataclass(frozen=True)
class Explored:
    """What was found, and its page, which is gone after the block."""

    found: Exploration
    folder: Folder

    def save_page(self, path: Path) -> None:
        """To a file; one that is there is replaced. Raises OutputError."""
        try:
            file_at(path).write(self.folder.file(PAGE).content(LIMIT), durable=False)
        except OSError as error:
            raise OutputError(Exploring.UNWRITABLE, path=path, reason=error.strerror) from None


@contextmanager
def explored(
    dataset: Mapping[str, Any],
    workspace: Workspace,
    data: list[str],
    *,
    model: Path | None = None,
    offline: bool = False,
    by: str,
    cancelled: Callable[[], bool] = lambda: False,
    on_event: Callable[[AnyEvent], None] = lambda event: None,
) -> Iterator[Explored]:
    """What is in the source that a recipe's section names. Raises the error that the job ended with.

    model: a folder with `model.json`, whose doubts about labels are listed.
    """
    temporary = Path(tempfile.mkdtemp(prefix="medtui-"))
    try:
        start = Explore(
            id="start",
            by=by,
            dataset=dict(dataset),
            model=str(model) if model is not None else None,
            output=str(temporary),
            data=data,
            offline=offline,
        )
        do_job(start, workspace, cancelled, on_event, CLEANUP)
        folder = Folder(temporary)
        try:
            found = Exploration.model_validate_json(folder.file(RESULT).content(LIMIT))
        except (OSError, ValidationError) as error:
            raise OutputError(Exploring.UNREADABLE, reason=str(error)[:200]) from None
        yield Explored(found, folder)
    finally:
        with contextlib.suppress(OSError):
            file_at(temporary).delete_tree()
