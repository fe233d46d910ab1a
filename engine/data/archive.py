"""Official `.npz` files: found, verified by MD5 and by structure. Nothing is allocated before it is checked.

An `.npz` is a zip of `.npy` members. Their headers are read from the zip directly, so an array's shape and type are
known, and compared with the declared sizes, before a byte of it is unpacked.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from engine.contract.data.archives import find_file, offline, unreadable_folders
from engine.contract.data.datasets import SPLITS, DatasetFacts
from engine.contract.files.paths import path_status
from engine.contract.wire.errors import DataError
from engine.data.archive_file import ArchiveFile, OnRead, no_progress
from engine.sentences import Archive, Arrays

MEMBERS = tuple(f"{split}_{part}" for split in SPLITS for part in ("images", "labels"))


@dataclass(frozen=True)
class ArchiveSpec:
    """Which archive a run needs: the official one of a data set, or a file that the recipe names."""

    facts: DatasetFacts
    size: int  # pixels per side
    path: Path | None = None  # the recipe's own archive
    md5: str | None = None  # what that archive must have

    @property
    def official(self) -> bool:
        return self.path is None

    @property
    def command(self) -> str:
        """As the command line names it: `breastmnist`, `breastmnist --size 64`."""
        return self.facts.name if self.size == 28 else f"{self.facts.name} --size {self.size}"

    @property
    def expected_md5(self) -> str | None:
        return self.facts.archives[self.size].md5 if self.official else self.md5


def find_archive(spec: ArchiveSpec, folders: Sequence[Path]) -> Path:
    """The archive's file. Raises DataError that names every place looked in, and how to fetch it by hand."""
    if spec.path is not None:
        if not (there := path_status(spec.path)).is_there:
            raise DataError(Archive.MISSING, path=spec.path, why=there.why)
        return spec.path
    archive = spec.facts.archives[spec.size]
    if (path := find_file(archive, folders)) is not None:
        return path
    closed = unreadable_folders(folders, archive.file_name)
    searched = ", ".join(f"{folder} ({closed[folder]})" if folder in closed else str(folder) for folder in folders)
    raise DataError(
        Archive.NOT_FOUND_OFFLINE if offline() else Archive.NOT_FOUND,
        dataset=spec.facts.title,
        size=spec.size,
        file=archive.file_name,
        searched=searched,
        command=spec.command,
        download=manual_download(spec),
    )


def manual_download(spec: ArchiveSpec) -> str:
    """What to fetch, perhaps on another machine, under which name, and the MD5 that proves it."""
    archive = spec.facts.archives[spec.size]
    return f"{archive.url} as {archive.file_name} (MD5 {archive.md5})"


def verify_archive(
    path: Path, spec: ArchiveSpec, memory: Path, on_read: OnRead = no_progress, *, reread: bool = False
) -> str:
    """The MD5 of the archive, which must be the expected one. Raises DataError, and what `on_read` raises.

    `memory`: a JSON file that remembers sums, so that a large file is read once; `reread` reads it all the same.
    """
    with ArchiveFile(path, memory, on_read) as archive:
        return expect_md5(archive.md5(reread=reread), path, spec)


def expect_md5(found: str, path: Path, spec: ArchiveSpec) -> str:
    """The MD5 that was found, when it is the expected one. Raises DataError."""
    expected = spec.expected_md5
    if found == expected:
        return found
    if expected is None:
        official = spec.facts.archives.get(spec.size)
        if official is not None and found == official.md5:
            return found  # named by path, and yet the official one
        raise DataError(Archive.UNIDENTIFIED, path=path, dataset=spec.facts.title, found=found)
    if not spec.official:
        raise DataError(Archive.NOT_THE_RECIPES, path=path, expected=expected, found=found)
    file = spec.facts.archives[spec.size].file_name
    raise DataError(Archive.NOT_OFFICIAL, path=path, file=file, expected=expected, found=found, command=spec.command)


@dataclass(frozen=True)
class Member:
    """One array of an archive, as its header declares it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    bytes: int  # of the complete .npy file


def check_structure(path: Path, spec: ArchiveSpec, content: BinaryIO) -> dict[str, Member]:
    """The six arrays of an archive by name, checked by their headers. `path`: for messages. Raises DataError."""
    try:
        with zipfile.ZipFile(content) as archive:
            _check_names(path, archive)
            members = {name: _member(path, archive, name) for name in MEMBERS}
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        EOFError,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        OSError,
    ) as error:
        raise DataError(Archive.NOT_AN_ARCHIVE, path=path, reason=error) from None
    for split in SPLITS:
        _check_split(path, spec, split, members)
    return members


def _check_names(path: Path, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    for name in names:
        if names.count(name) > 1:
            raise DataError(Arrays.TWICE, path=path, found=name[:60])
        if name.removesuffix(".npy") not in MEMBERS or not name.endswith(".npy"):
            raise DataError(Arrays.UNKNOWN, path=path, expected=", ".join(MEMBERS), found=name[:60])
    for member in MEMBERS:
        if f"{member}.npy" not in names:
            raise DataError(Arrays.MISSING, path=path, array=member)


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Member:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        try:
            shape, _, dtype = read_header(file)
        except (ValueError, SyntaxError, tokenize.TokenError, RecursionError) as error:
            raise DataError(Arrays.HEADER, path=path, array=name, reason=str(error)[:80]) from None
        header_size = file.tell()
    if dtype.hasobject or dtype.kind not in "ui" or dtype.itemsize > 8:
        raise DataError(Arrays.NOT_INTEGERS, path=path, array=name, found=dtype)
    if info.file_size != header_size + math.prod(shape) * dtype.itemsize:
        raise DataError(Arrays.SIZE, path=path, array=name, shape=shape, found=info.file_size)
    return Member(shape, dtype, info.file_size)


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"format version {version}")


def _check_split(path: Path, spec: ArchiveSpec, split: str, members: dict[str, Member]) -> None:
    facts, size = spec.facts, spec.size
    images, labels = members[f"{split}_images"], members[f"{split}_labels"]
    if images.dtype != np.uint8:
        raise DataError(Arrays.IMAGES_TYPE, path=path, array=f"{split}_images", found=images.dtype)
    n = images.shape[0] if images.shape else 0
    picture = (size, size) if facts.channels == 1 else (size, size, 3)
    if images.shape[1:] != picture or n == 0:
        expected = "×".join(map(str, ("N", *picture)))
        shape = "×".join(map(str, images.shape)) or "a scalar"
        raise DataError(Arrays.IMAGES_SHAPE, path=path, array=f"{split}_images", expected=expected, found=shape)
    if spec.official and n != facts.splits[split]:
        raise DataError(Arrays.IMAGES, path=path, split=split, expected=facts.splits[split], found=n)
    allowed = [(n, facts.classes)] if facts.task == "multi_label" else [(n, 1)] if spec.official else [(n, 1), (n,)]
    if labels.shape not in allowed:
        array = f"{split}_labels"
        raise DataError(Arrays.LABELS_SHAPE, path=path, array=array, expected=allowed[0], found=labels.shape)
