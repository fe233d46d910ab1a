"""What is known of a source of images before a byte of it is read: its facts, and the state of its files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from engine.contract.data.archives import find_file, offline
from engine.contract.data.datasets import SPLITS, Archive, DatasetFacts
from engine.contract.data.sums import known_md5
from engine.contract.files.paths import expanded, is_file
from engine.contract.wire.text import format_bytes


@dataclass(frozen=True)
class SearchPaths:
    """Where files may be."""

    workspace: Path
    folders: Sequence[Path]  # where data set files are searched for, first to last
    here: Path = Path()  # what relative paths are below


def located(written: str, search_paths: SearchPaths, fits: Callable[[Path], bool]) -> Path:
    """Where a recipe's path leads, with its anchors replaced: to the first that `fits`, else to the first of all."""
    folders = search_paths.folders if "${data}" in written else [Path()]
    anchored = written.replace("${workspace}", str(search_paths.workspace))
    candidates = [search_paths.here / expanded(anchored.replace("${data}", str(folder))) for folder in folders]
    return next((candidate for candidate in candidates if fits(candidate)), candidates[0])


@dataclass(frozen=True)
class Found:
    """What is known of a source's files before they are read."""

    description: str
    ok: bool = True
    is_fetched: bool = False  # before it is read


@dataclass(frozen=True)
class DataSource(ABC):
    """One place where images come from, at one size."""

    facts: DatasetFacts
    size: int  # pixels per side

    decoder: ClassVar[str]  # of the engine, "module:function"; called with the source and its `Access`

    @abstractmethod
    def status(self, search_paths: SearchPaths) -> Found:
        """Are its files there, and what they should be? Reads small files; never raises."""

    def known_facts(self, search_paths: SearchPaths) -> DatasetFacts:
        """The facts, with what was found when the images were last read here. Reads small files; never raises."""
        return self.facts

    def reads(self, search_paths: SearchPaths) -> list[Path]:
        """The files and folders that it is read from, which no command may replace. Never raises."""
        return []


@dataclass(frozen=True)
class OfficialSource(DataSource):
    """A published archive, which can be fetched."""

    decoder = "engine.data.archive_source:decoded_official"

    @property
    def archive(self) -> Archive:
        return self.facts.archives[self.size]

    def reads(self, search_paths: SearchPaths) -> list[Path]:
        path = find_file(self.archive, search_paths.folders)
        return [] if path is None else [path]

    def status(self, search_paths: SearchPaths) -> Found:
        path = find_file(self.archive, search_paths.folders)
        if path is None and offline():
            where = "put it into the workspace's dataset/, or pass --data"
            return Found(f"{self.archive.file_name} is missing and not fetched offline: {where}", ok=False)
        if path is None:
            most = format_bytes(self.facts.largest(self.size))
            return Found(
                f"{self.archive.file_name} is missing: it will be fetched first (at most {most})", is_fetched=True
            )
        counts = "/".join(str(self.facts.splits[split]) for split in SPLITS)
        found = known_md5(path)
        if found is None:
            return Found(f"{path.name} found ({counts}), MD5 not verified yet")
        if found != self.archive.md5:
            return Found(f"{path} is not the official file: MD5 {found}, expected {self.archive.md5}", ok=False)
        return Found(f"{path.name} found, MD5 ok ({counts})")


@dataclass(frozen=True)
class ArchiveSource(DataSource):
    """The user's own archive in the place of the official one. How many images it holds is not known yet."""

    decoder = "engine.data.archive_source:decoded_own"

    written: str  # its path, perhaps with an anchor: ${workspace} or ${data}
    md5: str | None

    def path(self, search_paths: SearchPaths) -> Path:
        return located(self.written, search_paths, is_file)

    def reads(self, search_paths: SearchPaths) -> list[Path]:
        return [self.path(search_paths)]

    def status(self, search_paths: SearchPaths) -> Found:
        path = self.path(search_paths)
        if not is_file(path):
            return Found(f"archive {self.written} is missing", ok=False)
        if self.md5 is None:
            write = f"write its MD5 as `md5` (`md5sum {path.name}` prints it)"
            return Found(f"archive {path.name} found; {write}", ok=False)
        found = known_md5(path)
        if found is not None and found != self.md5:
            return Found(f"archive {path.name} has MD5 {found}, the recipe says {self.md5}", ok=False)
        return Found(f"archive {path.name} found" + (", MD5 ok" if found else ", MD5 not verified yet"))


@dataclass(frozen=True)
class ProgramSource(DataSource):
    """A synthetic data set, which is generated."""

    decoder = "engine.data.cells_source:decoded_cells"

    def status(self, search_paths: SearchPaths) -> Found:
        return Found(f"{self.facts.name} is generated, no file needed")
