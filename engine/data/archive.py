"""Official `.npz` files: found, verified by MD5 and by structure. Nothing is allocated before it is checked.

An `.npz` is a zip of `.npy` members. Their headers are read from the zip directly, so an array's shape and type are
known, and compared with the declared sizes, before a byte of it is unpacked.
"""

from __future__ import annotations

import hashlib
import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from engine.contract.data_files import find_file, offline
from engine.contract.datasets import SPLITS, DatasetFacts
from engine.contract.errors import DataError
from engine.contract.files import write_text

_CHUNK = 1024 * 1024  # bytes
MEMBERS = tuple(f"{split}_{part}" for split in SPLITS for part in ("images", "labels"))


@dataclass(frozen=True)
class Wanted:
    """Which archive a run needs: the official one of a data set, or a file that the recipe names."""

    facts: DatasetFacts
    size: int  # pixels a side
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


def find_archive(wanted: Wanted, folders: Sequence[Path]) -> Path:
    """The archive's file. Raises DataError that names every place looked in, and how to fetch it by hand."""
    if wanted.path is not None:
        if not wanted.path.is_file():
            raise DataError(f"Expected the archive at {wanted.path}, found no file.", "Mend dataset.archive.")
        return wanted.path
    archive = wanted.facts.archives[wanted.size]
    if (path := find_file(archive, folders)) is not None:
        return path
    places = ", ".join(str(folder) for folder in folders)
    unless = " where MEDTUI_OFFLINE is not set" if offline() else ""
    raise DataError(
        f"{wanted.facts.title} at {wanted.size} px needs {archive.file_name}; looked in {places}.",
        f"`medtui data fetch {wanted.command}` fetches it{unless}. By hand: {by_hand(wanted)} into one of these, "
        "or give --data FOLDER.",
    )


def by_hand(wanted: Wanted) -> str:
    """What to fetch, perhaps on another machine, under which name, and the MD5 that proves it."""
    archive = wanted.facts.archives[wanted.size]
    return f"{archive.url} as {archive.file_name} (MD5 {archive.md5})"


def verify_archive(
    path: Path, wanted: Wanted, memory: Path, between: Callable[[int], None] | None = None, *, anew: bool = False
) -> str:
    """The MD5 of the archive, which must be the expected one. Raises DataError, and what `between` raises.

    `memory`: a JSON file that remembers sums by path, size, mtime and inode, so that a large file is read once;
    `anew` reads it all the same. `between`: called with the bytes read so far.
    """
    found = (None if anew else _remembered_md5(path, memory)) or _computed_md5(path, memory, between)
    expected = wanted.expected_md5
    if found == expected:
        return found
    if expected is None:
        raise DataError(
            f"{path} is not the official {wanted.facts.title} and dataset.md5 does not say which file is meant.",
            f"To use it as it is now, write `md5: {found}` beside `archive` in the recipe.",
        )
    what = f"the official {wanted.facts.archives[wanted.size].file_name}" if wanted.official else "the recipe's archive"
    hint = (
        f"Fetch it again with `medtui data fetch {wanted.command} --replace`, "
        "or name it as dataset.archive with its md5 to use it as another edition."
        if wanted.official
        else f"If this file is meant, write `md5: {found}`."
    )
    raise DataError(f"{path} is not {what}: expected MD5 {expected}, found {found}.", hint)


def _key(path: Path) -> str:
    stat = path.stat()
    return f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"


def _sums(memory: Path) -> dict[str, str]:
    try:
        sums = json.loads(memory.read_text(encoding="utf-8"))
        return {name: sum_ for name, sum_ in sums.items() if isinstance(sum_, str)}
    except (OSError, ValueError, AttributeError):
        return {}


def _remembered_md5(path: Path, memory: Path) -> str | None:
    return _sums(memory).get(_key(path))


def _computed_md5(path: Path, memory: Path, between: Callable[[int], None] | None) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.md5(usedforsecurity=False)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                if between is not None:
                    between(file.tell())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    remember_md5(path, digest.hexdigest(), memory)
    return digest.hexdigest()


def remember_md5(path: Path, found: str, memory: Path) -> None:
    """So that the file as it is now need not be read for its MD5 again."""
    others = {name: sum_ for name, sum_ in _sums(memory).items() if not name.startswith(f"{path.resolve()}|")}
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_text(memory, json.dumps(others | {_key(path): found}), durable=False)
    except OSError:
        pass  # without a writable cache the sum is computed again next time


@dataclass(frozen=True)
class Member:
    """One array of an archive, as its header declares it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    bytes: int  # of the whole .npy file


def check_structure(path: Path, wanted: Wanted) -> dict[str, Member]:
    """The six arrays of an archive by name, checked by their headers. Raises DataError."""
    try:
        with zipfile.ZipFile(path) as archive:
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
        raise DataError(f"{path} is damaged or no .npz archive: {error}.", "Fetch it again.") from None
    for split in SPLITS:
        _check_split(path, wanted, split, members)
    return members


def _check_names(path: Path, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    for name in names:
        if names.count(name) > 1:
            raise _refused(path, f"each array once, found {name[:60]!r} twice")
        if name.removesuffix(".npy") not in MEMBERS or not name.endswith(".npy"):
            raise _refused(path, f"only {', '.join(MEMBERS)}, found {name[:60]!r}")
    for member in MEMBERS:
        if f"{member}.npy" not in names:
            raise _refused(path, f"the array {member}, found none")


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Member:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        try:
            shape, _, dtype = _read_header(file)
        except (ValueError, SyntaxError, tokenize.TokenError, RecursionError) as error:
            raise _refused(path, f"{name} as an .npy array, found a header that is none ({str(error)[:80]})") from None
        header_size = file.tell()
    if dtype.hasobject or dtype.kind not in "ui" or dtype.itemsize > 8:
        raise _refused(path, f"{name} as whole numbers, found {dtype}")
    if info.file_size != header_size + math.prod(shape) * dtype.itemsize:
        raise _refused(path, f"{name} of shape {shape} in as many bytes, found {info.file_size:,} bytes declared")
    return Member(shape, dtype, info.file_size)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"format version {version}")


def _check_split(path: Path, wanted: Wanted, split: str, members: dict[str, Member]) -> None:
    facts, size = wanted.facts, wanted.size
    images, labels = members[f"{split}_images"], members[f"{split}_labels"]
    if images.dtype != np.uint8:
        raise _refused(path, f"{split}_images as uint8, found {images.dtype}")
    n = images.shape[0] if images.shape else 0
    picture = (size, size) if facts.channels == 1 else (size, size, 3)
    if images.shape[1:] != picture or n == 0:
        expected = "×".join(map(str, ("N", *picture)))
        raise _refused(
            path, f"{split}_images of shape {expected}, found {'×'.join(map(str, images.shape)) or 'one number'}"
        )
    if wanted.official and n != facts.splits[split]:
        raise _refused(path, f"{facts.splits[split]} {split} images, found {n}")
    allowed = [(n, facts.classes)] if facts.task == "multi_label" else [(n, 1)] if wanted.official else [(n, 1), (n,)]
    if labels.shape not in allowed:
        raise _refused(path, f"{split}_labels of shape {allowed[0]}, found {labels.shape}")


def _refused(path: Path, expected_found: str) -> DataError:
    return DataError(f"{path}: expected {expected_found}.", "Fetch the official file again, or mend this one.")
