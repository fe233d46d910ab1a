"""A folder that is filled under a temporary name and renamed, so that it is complete or absent.

Several engines may fill the same one at once: a later one finds it complete and drops its own.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

from engine.contract.files.file_system import try_lock
from engine.contract.files.folders import File
from engine.contract.wire.errors import DataError
from engine.sentences import Cache

ABANDONED = 24 * 3600.0  # seconds without a change, after which a temporary folder that is not locked is swept
SWAP_PATIENCE = 10.0  # seconds; a process that holds the lock longer than that is stopped


def fill_atomically(target: File, fill: Callable[[File], None], is_complete: Callable[[], bool]) -> None:
    """Fill a temporary folder and put it in the place of `target`, unless that is complete by then. Raises DataError.

    `is_complete`: is what is at `target` to be kept? What `fill` raises leaves nothing.
    """
    try:
        target.folder.make()
        target.parent.make_folder(exist_ok=True)
        _sweep(target.parent)
        temporary = target.make_temporary()
    except OSError as error:
        raise DataError(Cache.READ_ONLY, folder=target.parent, reason=error.strerror) from None
    try:
        with _locked(temporary):
            fill(temporary)
            _swap_in(temporary, target, is_complete)
    finally:
        _remove(temporary)


def remove_folder(target: File) -> None:
    """Take a damaged folder away. Raises OSError."""
    with _locked(target.parent, SWAP_PATIENCE):
        _remove(_put_aside(target))


def _swap_in(temporary: File, target: File, is_complete: Callable[[], bool]) -> None:
    aside = None
    with _locked(target.parent, SWAP_PATIENCE):
        if is_complete():  # another engine was faster, and may be reading it
            return
        try:
            if target.is_there:
                aside = _put_aside(target)
            temporary.move(target)
        except OSError as error:
            if not is_complete():
                raise DataError(Cache.NOT_CREATED, folder=target, reason=error.strerror) from None
    if aside is not None:
        _remove(aside)


def _put_aside(target: File) -> File:
    """Into a folder that is swept like any temporary one. Raises OSError."""
    aside = target.make_temporary()
    target.move(aside / target.name)
    return aside


def _remove(folder: File) -> None:
    with contextlib.suppress(OSError):
        folder.delete_tree()


@contextlib.contextmanager
def _locked(folder: File, patience: float = 0.0) -> Iterator[None]:
    """Hold a folder by a lock of the kernel, as far as its file system has such; without one after `patience`."""
    descriptor = folder.open_folder()
    try:
        deadline = time.monotonic() + patience
        while not try_lock(descriptor) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _sweep(folder: File) -> None:
    """Remove what killed decodings have left, after a day; never what a running one holds."""
    for name in folder.names():
        left = folder / name
        found = left.info()
        if name[0] != "." or found is None or time.time() - found.st_mtime < ABANDONED:
            continue
        with contextlib.suppress(OSError):
            descriptor = left.open_folder()
            try:
                if try_lock(descriptor):
                    left.delete_tree()
            finally:
                os.close(descriptor)
