"""What of medtui's takes up disk space, and what of that may go: runs, decoded data, data sets, weights.

Read step by step, so that a slow file system shows what is known so far, and the reading can be ended.
"""

from __future__ import annotations

import contextlib
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.contract.data.archives import data_folders, unreadable_folders
from engine.contract.data.card import DataCard
from engine.contract.data.datasets import DatasetFacts
from engine.contract.files.paths import path_status
from engine.contract.models.catalogue import MODELS
from engine.contract.models.spec import ModelSpec
from engine.contract.recipe.sources import known_sets
from engine.contract.store.run_directory import RunDirectory, list_runs
from engine.contract.store.run_record import read_run
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError
from medtui.client.data_sets import DataFile, each_file
from medtui.client.pruning import prunable
from medtui.machine.cache_removal import Stored, Unfinished, unfinished_data
from medtui.machine.caches import (
    DecodedCopy,
    bytes_of,
    decoded_copies,
    own_cards,
    parts_of_own,
)
from medtui.machine.needs import Needs, needs_of_run, with_needs

SHOWN_EVERY = 0.5  # seconds between two intermediate states
Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class RunSize:
    """What one run takes up."""

    name: str
    state: str
    bytes: int
    checkpoints: int  # bytes of these in its checkpoints folder
    prunable: int = 0  # bytes that pruning frees


@dataclass(frozen=True)
class DataOnDisk:
    """An official file that is on disk."""

    file: DataFile
    bytes: int


@dataclass(frozen=True)
class ModelWeights:
    """A model of the catalogue, and the file of its published weights."""

    model: ModelSpec
    bytes: int | None  # None: not on disk, or none are published
    trouble: str = ""  # why it cannot be looked for


@dataclass(frozen=True)
class Storage:
    """What is known so far. A part that is None was not read yet."""

    files: tuple[DataFile, ...] | None = None  # every official file, on disk or not
    data: tuple[DataOnDisk, ...] = ()
    folders: dict[Path, str] | None = None  # data folders that cannot be read, and why
    weights: tuple[ModelWeights, ...] | None = None
    copies: tuple[DecodedCopy, ...] | None = None
    parts: int = 0  # bytes of conversions of own images that were ended, and go on there
    unfinished: tuple[Unfinished, ...] = ()  # those, and downloads and decodings that were ended
    cards: tuple[DataCard, ...] = ()
    runs: tuple[RunSize, ...] | None = None
    archived: tuple[RunSize, ...] | None = None
    done: bool = False

    @property
    def prunable(self) -> list[RunSize]:
        """The runs that `runs prune` would change without arguments."""
        return [run for run in self.runs or () if run.prunable]

    @property
    def unneeded(self) -> list[Stored]:
        """What `data prune` would remove without arguments."""
        every: list[Stored] = [*(self.copies or ()), *self.unfinished]
        return [one for one in every if not one.used_by]

    @property
    def for_completed(self) -> list[DecodedCopy]:
        """The copies that only completed runs were trained on."""
        return [copy for copy in self.copies or () if copy.completed_runs and not copy.needed_by]

    @property
    def generated(self) -> list[DatasetFacts]:
        """The data sets that need no file."""
        return [facts for facts in known_sets() if not facts.archives]


def scan_storage(workspace: Workspace, data: Sequence[str], cancelled: Cancelled) -> Iterator[Storage]:
    """What is known after each step; the last one is `done`. Ends early once `cancelled`."""
    files: list[DataFile] = []
    for file in each_file(workspace, data):  # small ones are read for their MD5
        if cancelled():
            return
        files.append(file)
    present = tuple(DataOnDisk(file, _bytes_at(file.path)) for file in files if file.path is not None)
    closed = unreadable_folders(data_folders(data, workspace.root))
    storage = Storage(tuple(files), present, closed, tuple(_weights(model) for model in MODELS))
    yield storage
    copies = tuple(decoded_copies(cancelled))
    yield (storage := replace(storage, copies=copies, parts=parts_of_own(cancelled), cards=tuple(own_cards())))
    needs = Needs()
    for found in _with_runs(storage, workspace, cancelled):
        storage, needs = found
        yield storage
    if cancelled():
        return
    unfinished = tuple(unfinished_data(workspace, data))
    yield replace(storage, copies=tuple(with_needs(copies, needs, workspace)), unfinished=unfinished, done=True)


def _with_runs(storage: Storage, workspace: Workspace, cancelled: Cancelled) -> Iterator[tuple[Storage, Needs]]:
    """With the listed runs and then the archived ones, now and then; and what they need."""
    needs = Needs()
    for archived, outputs in ((False, workspace.outputs), (True, workspace.archive)):
        found: list[RunSize] = []
        shown = time.monotonic()
        for run in list_runs(outputs):
            if cancelled():
                return
            size, needs = _run_size(run, workspace, needs, cancelled, archived=archived)
            found.append(size)
            if time.monotonic() - shown > SHOWN_EVERY:
                shown = time.monotonic()
                yield _with(storage, found, archived=archived), needs
        storage = _with(storage, found, archived=archived)
        yield storage, needs


def _with(storage: Storage, runs: Sequence[RunSize], *, archived: bool) -> Storage:
    return replace(storage, archived=tuple(runs)) if archived else replace(storage, runs=tuple(runs))


def _run_size(
    run: RunDirectory, workspace: Workspace, needs: Needs, cancelled: Cancelled, *, archived: bool
) -> tuple[RunSize, Needs]:
    record = read_run(run)
    total, checkpoints = bytes_of(run.folder.itself, cancelled), bytes_of(run.checkpoints, cancelled)
    size = RunSize(run.name, record.state, total, checkpoints)
    needs |= needs_of_run(record)
    if archived:
        return size, needs  # pruned as the others, once it is moved back
    with contextlib.suppress(MedtuiError):  # a run that trains, or that is not ours to change
        size = replace(size, prunable=prunable(run, workspace).bytes)
    return size, needs


def _weights(model: ModelSpec) -> ModelWeights:
    if model.weights is None:
        return ModelWeights(model, None)
    there = path_status(model.weights.path)
    return ModelWeights(model, _bytes_at(model.weights.path) if there.is_file else None, there.trouble)


def _bytes_at(path: Path) -> int:
    """0 for what has gone meanwhile."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
