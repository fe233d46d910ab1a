"""The official data set files: which are on disk, and are they genuine; an engine fetches and verifies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.contract.data.archives import data_folders, find_file
from engine.contract.data.datasets import Archive, DatasetFacts
from engine.contract.data.sums import known_md5
from engine.contract.recipe.sources import official_sets
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Fetch, Verify
from engine.contract.wire.protocol import AnyEvent
from medtui.client.job import CLEANUP, do_job

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
    folders = data_folders(data, workspace.root)
    files = []
    for facts in official_sets():
        for size, archive in facts.archives.items():
            path = find_file(archive, folders)
            files.append(DataFile(facts, size, path, known_md5(path) if path else None))
    return files


def fetch_data_set(
    name: str,
    size: int,
    workspace: Workspace,
    data: list[str],
    *,
    by: str,
    replace: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
    on_event: Callable[[AnyEvent], None] = lambda event: None,
) -> None:
    """Have an engine fetch an official file. Raises the error that it ended with."""
    start = Fetch(id="start", by=by, dataset=name, size=size, data=data, replace=replace)
    do_job(start, workspace, cancelled, on_event, CLEANUP)


def verify_data_set(
    file: DataFile, workspace: Workspace, data: list[str], *, by: str, on_event: Callable[[AnyEvent], None]
) -> None:
    """Have an engine verify a file, MD5 and structure. Raises the error that it ended with."""
    start = Verify(id="start", by=by, dataset=file.facts.name, size=file.size, data=data)
    do_job(start, workspace, on_event=on_event, grace=CLEANUP)
