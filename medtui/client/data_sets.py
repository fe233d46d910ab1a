"""The files of data sets: which are on disk, and are they genuine; an engine fetches, verifies, packs and generates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.contract.data.archives import data_folders, find_file
from engine.contract.data.datasets import Archive, DatasetFacts
from engine.contract.data.sums import known_md5
from engine.contract.files.paths import is_file
from engine.contract.recipe.data_source import SearchPaths
from engine.contract.recipe.sources import official_sets
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import ExportData, Fetch, ImportData, Synthesise, Verify
from engine.contract.wire.protocol import AnyEvent
from medtui.client.job import CLEANUP, do_job

OnEvent = Callable[[AnyEvent], None]
State = Literal["missing", "unverified", "official", "damaged"]


@dataclass(frozen=True)
class DataFile:
    """One official file of one data set, and where it is, if on disk."""

    facts: DatasetFacts
    size: int  # pixels per side
    path: Path | None
    found_md5: str | None  # None: not computed yet

    @property
    def archive(self) -> Archive:
        return self.facts.archives[self.size]

    @property
    def label(self) -> str:
        return self.facts.label(self.size)

    @property
    def state(self) -> State:
        if self.path is None:
            return "missing"
        if self.found_md5 is None:
            return "unverified"
        return "official" if self.found_md5 == self.archive.md5 else "damaged"


def inventory(workspace: Workspace, data: Sequence[str]) -> list[DataFile]:
    """Every official file, here or not. Reads small files, so never on a screen's own thread."""
    return list(each_file(workspace, data))


def each_file(workspace: Workspace, data: Sequence[str]) -> Iterator[DataFile]:
    """As `inventory`, one after the other: who no longer needs them asks for no more."""
    folders = data_folders(data, workspace.root)
    for facts in official_sets():
        for size, archive in facts.archives.items():
            path = find_file(archive, folders)
            yield DataFile(facts, size, path, known_md5(path) if path else None)


def fetch_data_set(
    name: str,
    size: int,
    workspace: Workspace,
    data: list[str],
    *,
    by: str,
    replace: bool = False,
    offline: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
    on_event: Callable[[AnyEvent], None] = lambda event: None,
) -> None:
    """Have an engine fetch an official file. Raises the error that it ended with."""
    start = Fetch(id="start", by=by, dataset=name, size=size, data=data, replace=replace, offline=offline)
    do_job(start, workspace, cancelled, on_event, CLEANUP)


def verify_data_set(
    file: DataFile, workspace: Workspace, data: list[str], *, by: str, on_event: Callable[[AnyEvent], None]
) -> None:
    """Have an engine verify a file, MD5 and structure. Raises the error that it ended with."""
    start = Verify(id="start", by=by, dataset=file.facts.name, size=file.size, data=data)
    do_job(start, workspace, on_event=on_event, grace=CLEANUP)


def search_paths(workspace: Workspace, data: Sequence[str]) -> SearchPaths:
    """Where a command finds files."""
    return SearchPaths(workspace.root, data_folders(data, workspace.root))


# ---- archives --------------------------------------------------------------------------------------------------------


def is_official(path: Path) -> bool:
    """Has a file the name of an official one, or, where it is small, its content?"""
    archives = [archive for facts in official_sets() for archive in facts.archives.values()]
    if not is_file(path) or path.suffix.lower() != ".npz":
        return False
    return path.name in {archive.file_name for archive in archives} or known_md5(path) in {one.md5 for one in archives}


def import_official(
    path: Path, workspace: Workspace, data: list[str], *, replace: bool, by: str, on_event: OnEvent
) -> None:
    """Have an engine check an official file and put it in place. Raises the error that it ended with."""
    start = ImportData(id="start", by=by, file=str(path), data=data, replace=replace)
    do_job(start, workspace, on_event=on_event, grace=CLEANUP)


def export_data(
    dataset: Mapping[str, Any],
    target: Path,
    workspace: Workspace,
    data: list[str],
    *,
    replace: bool,
    by: str,
    on_event: OnEvent,
    offline: bool = False,
) -> None:
    """Have an engine write a source as one archive. Raises the error that it ended with."""
    start = ExportData(
        id="start", by=by, dataset=dict(dataset), output=str(target), data=data, replace=replace, offline=offline
    )
    do_job(start, workspace, on_event=on_event, grace=CLEANUP)


def synthesise(
    name: str,
    size: int,
    limit: int | None,
    target: Path,
    workspace: Workspace,
    *,
    replace: bool,
    by: str,
    on_event: OnEvent,
) -> None:
    """Have an engine write a synthetic archive. Raises the error that it ended with."""
    start = Synthesise(id="start", by=by, dataset=name, size=size, limit=limit, output=str(target), replace=replace)
    do_job(start, workspace, on_event=on_event, grace=CLEANUP)
