"""The official data set files: which are here, and are they what they claim to be; an engine fetches and verifies."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from engine.contract.data_files import data_folders, find_file
from engine.contract.datasets import Archive, DatasetFacts, datasets
from engine.contract.files import read_bounded
from engine.contract.protocol import AnyEvent, Start
from engine.contract.workspace import Workspace
from medtui.client.job import TIDYING, do_job

State = Literal["missing", "unverified", "official", "damaged"]
HASH_AT_ONCE = 64 * 1024 * 1024  # bytes; a larger file is verified by the run, or by `data verify`


@dataclass(frozen=True)
class DataFile:
    """One official file of one data set: where it is, if it is anywhere."""

    facts: DatasetFacts
    size: int  # pixels a side
    path: Path | None
    found_md5: str | None  # None is not looked at yet

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
    for facts in datasets().values():
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
    given_up: Callable[[], bool] = lambda: False,
    tell: Callable[[AnyEvent], None] = lambda event: None,
) -> None:
    """Have an engine fetch an official file. Raises the error that it ended with."""
    start = Start(id="start", by=by, job="data.fetch", dataset=name, size=size, data=data, replace=replace)
    do_job(start, workspace, given_up, tell, TIDYING)


def verify_data_set(
    file: DataFile, workspace: Workspace, data: list[str], *, by: str, tell: Callable[[AnyEvent], None]
) -> None:
    """Have an engine read a file anew, MD5 and structure. Raises the error that it ended with."""
    start = Start(id="start", by=by, job="data.verify", dataset=file.facts.name, size=file.size, data=data)
    do_job(start, workspace, tell=tell, grace=TIDYING)


def known_md5(path: Path) -> str | None:
    """The MD5 that the engine remembers of this very file; computed where the file is small; None else."""
    try:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
        remembered = json.loads(read_bounded(cache_folder() / "verified.json")).get(key)
        if isinstance(remembered, str):
            return remembered
    except (OSError, ValueError, AttributeError):
        pass
    try:
        if path.stat().st_size > HASH_AT_ONCE:
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError:
        return None


def cache_folder() -> Path:
    """Where the engine keeps decoded data."""
    given = os.environ.get("MEDTUI_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("medtui"))
