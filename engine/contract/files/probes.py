"""Trials of a folder: may files be made there, and what can its file system not do of what runs make use of?"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from engine.contract.files.file_system import random_word, temporary_in
from engine.contract.files.folders import Folder
from engine.contract.files.opening import NONBLOCKING


def probe_writing(folder: Path) -> None:
    """Make a file there and take it away again. Raises OSError where that cannot be done."""
    with Folder(folder).opened() as descriptor, temporary_in(descriptor):
        pass


def probe_locking(folder: Path) -> None:
    """Lock a file there. Raises OSError where the file system cannot lock."""
    with Folder(folder).opened() as descriptor, temporary_in(descriptor) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@dataclass(frozen=True)
class MissingFeature:
    """Something that a file system cannot do, and what follows."""

    what: str
    follows: str

    def __str__(self) -> str:
        return f"{self.what}: {self.follows}"


def missing_features(folder: Path) -> list[MissingFeature]:
    """What the file system of a folder cannot do of what runs make use of. Raises OSError where nothing can be made."""
    found = []
    with Folder(folder).opened() as root, temporary_in(root) as file:
        for trial, lack in _TRIALS:
            try:
                trial(root, file)
            except OSError:
                found.append(lack)
    return found


def _try_flush(_folder: int, file: int) -> None:
    os.fsync(file)


def _try_flush_folder(folder: int, _file: int) -> None:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_modes(_folder: int, file: int) -> None:
    os.fchmod(file, 0o600)


def _try_locking(_folder: int, file: int) -> None:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _try_map(_folder: int, file: int) -> None:
    import mmap

    os.pwrite(file, b"\0", 0)
    mmap.mmap(file, 1, mmap.MAP_SHARED, mmap.PROT_READ).close()


def _try_replacing(folder: int, _file: int) -> None:
    names = f".probe.{random_word()}", f".probe.{random_word()}"
    try:
        for name in names:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NONBLOCKING, 0o600, dir_fd=folder))
        os.rename(*names, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder)


_TRIALS = (
    (
        _try_flush,
        MissingFeature("files cannot be flushed", "a power cut may lose recent writes, including checkpoints"),
    ),
    (
        _try_flush_folder,
        MissingFeature("folders cannot be flushed", "after a power cut the newest checkpoint may be missing"),
    ),
    (_try_modes, MissingFeature("file modes cannot be changed", "the mount decides who may read and write")),
    (_try_locking, MissingFeature("files cannot be locked", "no run can be started there")),
    (
        _try_map,
        MissingFeature("files cannot be memory-mapped", "data sets stored there are read into memory completely"),
    ),
    (_try_replacing, MissingFeature("files cannot be replaced atomically", "a crash at that moment may lose one")),
)
