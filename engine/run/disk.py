"""Is there enough disk space for a job, and which limitations do its file systems have?"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from engine.contract.data.sums import cache_folder
from engine.contract.files.probes import missing_features
from engine.contract.machine.limits import disk_space, file_size_limit
from engine.contract.recipe.recipe import Recipe
from engine.contract.wire.errors import OutputError
from engine.contract.wire.text import format_bytes
from engine.run.job import Job
from engine.run.resumed import ResumedRun
from engine.sentences import Decisions, Space

RUN_FILES = 60  # folders and files, temporary ones among them
REPORT_BYTES = 8_000_000  # journal, tables, workbook, figures


def check_disk_space(outputs: Path, need: int, what: str, option: str = "a --workspace") -> None:
    """Raises OutputError where fewer than `need` bytes are free. A file system that does not say is not refused.

    `option`: what puts the files elsewhere.
    """
    try:
        there = disk_space(outputs)
    except OSError:
        return
    free = there.bytes
    if there.files is not None and there.files < RUN_FILES:
        raise OutputError(Space.NO_FILES, job=what, need=RUN_FILES, folder=outputs, free=there.files, option=option)
    if need > free:
        sizes = {"need": format_bytes(need), "free": format_bytes(free)}
        raise OutputError(Space.NO_BYTES, job=what, folder=outputs, option=option, **sizes)


def check_disk(job: Job, recipe: Recipe, model: nn.Module, resumed: ResumedRun | None) -> None:
    """Is there space for what the run will write: two complete checkpoints and one being written, two of weights.

    What an earlier attempt has written is there already. Raises OutputError.
    """
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    copies = recipe.training.weight_copies
    check_file_size(copies * weights)
    need = 3 * copies * weights + 2 * weights + REPORT_BYTES - (resumed.checkpoint_bytes if resumed else 0)
    outputs = job.workspace.make_outputs()
    warn_of_limitations(job, outputs)
    check_disk_space(outputs, need, "A run of this recipe")


def check_file_size(largest: int) -> None:
    """May a file be as large as a checkpoint? Raises OutputError."""
    limit = file_size_limit()
    if limit is not None and limit < largest:
        raise OutputError(Space.FILE_SIZE, need=format_bytes(largest), limit=format_bytes(limit))


def warn_of_limitations(job: Job, outputs: Path) -> None:
    """What the file systems of the run and of its data cannot do, logged once."""
    for folder in dict.fromkeys((outputs, cache_folder())):
        try:
            found = missing_features(folder)
        except OSError:  # a cache that can be read only
            continue
        for lack in found:
            job.stream.note(Decisions.LIMITED_FILE_SYSTEM, "warning", folder=folder, reason=lack)
