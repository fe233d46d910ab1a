"""What a run that has ended should have and lacks: found without reading more than beginnings of files."""

from __future__ import annotations

from collections.abc import Iterator

from engine.contract.files.folders import File
from engine.contract.store.checkpoint_file import read_header
from engine.contract.store.run_directory import RunDirectory, read_object
from engine.contract.store.status import RunSummary
from engine.contract.wire.errors import CheckpointError


def describe_lacking(run: RunDirectory, summary: RunSummary) -> Iterator[str]:
    """In a few words each."""
    if run.labels.is_there and read_object(run.labels) is None:
        yield f"{run.labels.name} is {why_unread(run.labels)}"
    if summary.outcome is not None and not _is_readable(run.recipe):
        yield f"{run.recipe.name} is {why_unread(run.recipe)}"
    if summary.outcome != "completed":
        return
    if "best" in summary.artifacts and not _has_header(run.best):
        yield f"{run.best.name} is {why_unread(run.best)}"
    if "model" in summary.artifacts and read_object(run.model_bundle) is None:
        yield f"{run.model_bundle.name} is {why_unread(run.model_bundle)}"
    if "scores" in summary.artifacts and not any(file.is_regular for file in run.score_files()):
        yield "its score file is missing"


def why_unread(file: File) -> str:
    """Of one that cannot be read, or not as what it should be."""
    if not file.is_there:
        return "missing"
    try:
        file.reading().close()
    except OSError as error:
        return f"unreadable: {(error.strerror or str(error)).removeprefix('it is ')}"
    return "damaged"


def _is_readable(file: File) -> bool:
    try:
        with file.reading() as opened:
            return bool(opened.read(1))
    except OSError:
        return False


def _has_header(checkpoint: File) -> bool:
    """One that is truncated has none that fits its size."""
    try:
        read_header(checkpoint)
    except CheckpointError:
        return False
    return True
