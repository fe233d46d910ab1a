"""The only removal of decoded copies, and of what was left unfinished: downloads, decodings, conversions.

All of it can be made again: decoded copies from the archives and folders that they were made from, downloads from
where they are published. Archives themselves, and images of the user's own, are never touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.contract.data.archives import PART_SUFFIX, data_folders
from engine.contract.data.card import own_folder
from engine.contract.data.sums import cache_folder
from engine.contract.files.file_system import try_lock
from engine.contract.files.folders import File, Folder
from engine.contract.files.inspection import describe_owner
from engine.contract.models.catalogue import MODELS
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError, OutputError, UsageError
from medtui.machine.caches import DecodedCopy, bytes_of
from medtui.machine.needs import needed_by_engines
from medtui.sentences import Caches

_PART = re.compile(rf"\.(.+)\.[0-9a-f]{{8}}{re.escape(PART_SUFFIX)}")  # other programs keep files in these folders too
JUST_MADE = 60.0  # seconds in which a folder that an engine made may not be locked by it yet


def remove_copy(copy: DecodedCopy, workspace: Workspace) -> None:
    """Remove one, at once for whoever looks for it. Raises UsageError or OutputError.

    What engines need is asked again here: one may have begun since the copy was shown.
    """
    if needed := needed_by_engines(copy, workspace):
        raise UsageError(Caches.IN_USE, key=copy.title, holder=needed[0])
    try:
        descriptor = copy.folder.parent.open_folder()
        try:
            if not try_lock(descriptor):  # an engine puts a copy in its place
                raise UsageError(Caches.BUSY)
            aside = copy.folder.make_temporary()  # swept by engines, if this is interrupted
            copy.folder.move(aside / copy.key)
        finally:
            os.close(descriptor)
        aside.delete_tree()
    except OSError as error:
        raise _not_removed(copy.folder, error) from None


@dataclass(frozen=True)
class Unfinished:
    """A file or folder that a killed process left, and that is made again, or continued, by the next one."""

    file: File
    lock: File  # that a living process holds
    what: str  # in words
    bytes: int
    needed_by: tuple[str, ...]

    @property
    def title(self) -> str:
        return self.what

    @property
    def used_by(self) -> tuple[str, ...]:
        return self.needed_by


Stored = DecodedCopy | Unfinished


def remove_each(going: Sequence[Stored], workspace: Workspace) -> tuple[list[Stored], list[MedtuiError]]:
    """What was removed, and what went wrong with the others."""
    removed: list[Stored] = []
    troubles: list[MedtuiError] = []
    for one in going:
        try:
            remove_copy(one, workspace) if isinstance(one, DecodedCopy) else remove_unfinished(one)
        except MedtuiError as error:
            troubles.append(error)
        else:
            removed.append(one)
    return removed, troubles


def unfinished_data(workspace: Workspace, data: Sequence[str]) -> list[Unfinished]:
    """What of it is here; of what cannot be listed, nothing. `data`: folders that were named."""
    downloads = _unfinished_downloads([*data_folders(data, workspace.root), *_weights_folders()])
    found = [*_unfinished_copies(), *downloads]
    return [Unfinished(file, lock, what, _size(file), _holder(file, lock)) for file, lock, what in found]


def remove_unfinished(one: Unfinished) -> None:
    """Unless a process is at it by now: its lock is held meanwhile. Raises UsageError or OutputError."""
    try:
        descriptor = _opened(one.lock) if one.lock.is_there else None
        try:
            if (descriptor is not None and not try_lock(descriptor)) or _is_new(one.file, one.lock):
                raise UsageError(Caches.IN_USE_NOW, path=one.file)
            one.file.delete_tree() if one.file.is_folder else one.file.delete()
        finally:
            if descriptor is not None:
                os.close(descriptor)
    except OSError as error:
        raise _not_removed(one.file, error) from None


def _unfinished_copies() -> Iterator[tuple[File, File, str]]:
    """What was left half decoded, or half converted."""
    arrays, own = Folder(cache_folder()).file("arrays"), own_folder()
    for name in _names(arrays):
        if name.startswith("."):
            yield arrays / name, arrays / name, "an unfinished decoding"
    for name in _names(own):
        if name.endswith(".parts"):
            lock = own / f"{name.removesuffix('.parts')}.lock"
            yield own / name, lock, "an unfinished conversion, which the next start continues"


def _unfinished_downloads(folders: Sequence[Path]) -> Iterator[tuple[File, File, str]]:
    for folder in dict.fromkeys(folders):
        place = Folder(folder).itself
        for name in _names(place):
            if (of := _PART.fullmatch(name)) is not None and (place / name).is_regular:
                yield place / name, place / name, f"an unfinished download of {of[1]}, which the next fetch continues"


def _weights_folders() -> list[Path]:
    """Where published weights are fetched to."""
    return [model.weights.path.parent for model in MODELS if model.weights is not None]


def _names(folder: File) -> list[str]:
    with contextlib.suppress(OSError):
        return folder.names()
    return []


def _size(file: File) -> int:
    return bytes_of(file) if file.is_folder else file.size


def _is_new(file: File, lock: File) -> bool:
    """Was it made just now, as a folder that its process locks next?"""
    found = file.info()
    return file.is_folder and file == lock and found is not None and 0 <= time.time() - found.st_mtime < JUST_MADE


def _holder(file: File, lock: File) -> tuple[str, ...]:
    """() where no process holds it."""
    if not lock.is_there:
        return ()
    try:
        descriptor = _opened(lock)
    except OSError as error:
        return (f"whoever may open it ({error.strerror})",)
    try:
        at_it = not try_lock(descriptor) or _is_new(file, lock)
    finally:
        os.close(descriptor)
    return ("an engine that works on it",) if at_it else ()


def _opened(lock: File) -> int:
    return lock.open_folder() if lock.is_folder else lock.descriptor(os.O_RDWR)


def _not_removed(file: File, error: OSError) -> OutputError:
    return OutputError(Caches.REMOVE_FAILED, path=file, reason=f"{error.strerror}{describe_owner(file)}")
