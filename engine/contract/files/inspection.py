"""Inspecting a run's folder: entries that are not ours or not regular files, their age and size."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from engine.contract.files.file_system import temporary_in
from engine.contract.files.folders import File
from engine.contract.files.opening import kind_of
from engine.contract.files.owners import is_owner_of_ours, owner_that_new_files_get, user_name


def untrusted_entry(folder: File, *, kinds_only: bool = False) -> str | None:
    """The first thing in a run's folder that is not a regular file with one name, or a folder, of ours: in words.

    None where everything is as expected. `kinds_only` looks only for links, pipes and the like, without a look at each
    file: for lists of many runs. Raises OSError where a folder cannot be listed.
    """
    with folder.folder.opened() as root:
        if kinds_only:
            return _untrusted_below(folder.path, root, ".", None)
        owners = {os.geteuid()}

        def untrusted_owner(found: os.stat_result) -> str | None:
            if found.st_uid not in owners and not is_owner_of_ours(found, root):
                if found.st_uid != owner_that_new_files_get(root):
                    return f"belongs to {user_name(found.st_uid)}"
                owners.add(found.st_uid)
            return None

        if (owner := untrusted_owner(os.fstat(root))) is not None:
            return f"{folder} {owner}"
        return _untrusted_below(folder.path, root, ".", untrusted_owner)


def _untrusted_below(
    path: Path, parent: int, name: str, untrusted_owner: Callable[[os.stat_result], str | None] | None
) -> str | None:
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        with os.scandir(descriptor) as entries:
            folders = []
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if not (is_folder or entry.is_file(follow_symlinks=False)):
                    return f"{path / entry.name} is {kind_of(entry.stat(follow_symlinks=False))}"
                if is_folder:
                    folders.append(entry.name)
                if untrusted_owner is None:
                    continue
                found = entry.stat(follow_symlinks=False)
                if not is_folder and found.st_nlink > 1:
                    return f"{path / entry.name} has {found.st_nlink} hard links"
                if (owner := untrusted_owner(found)) is not None:
                    return f"{path / entry.name} {owner}"
        below = (_untrusted_below(path / name, descriptor, name, untrusted_owner) for name in folders)
        return next((found for found in below if found is not None), None)
    finally:
        os.close(descriptor)


def unwritable_folder(folder: File) -> str | None:
    """The first folder of a run in which the user may not write, in words; None where there is none. Raises OSError."""
    as_we_are = os.access in os.supports_effective_ids
    for entry in (folder, *(entry for entry, found in folder.walk() if stat.S_ISDIR(found.st_mode))):
        with entry._parent() as (parent, last):
            if not os.access(last, os.W_OK | os.X_OK, dir_fd=parent, effective_ids=as_we_are):
                return f"you may not write to {entry}{describe_owner(entry)}"
    return None


def describe_owner(file: File) -> str:
    """`, which belongs to ada`, of a file or of the folder that it is missing in; "" where that is the user."""
    found = file.info() or file.parent.info()
    if found is None or found.st_uid == os.geteuid():
        return ""
    return f", which belongs to {user_name(found.st_uid)}"


def age(file: File) -> float | None:
    """Seconds since it was written, by the clock of its own file system: another host may have written it.

    Where no file can be made next to it, by this machine's clock. None when it is not there, or of the future.
    """
    found = file.info()
    if found is None:
        return None
    try:
        with file.folder.opened() as folder, temporary_in(folder) as probe:
            now = os.fstat(probe).st_mtime
    except OSError:
        now = time.time()
    passed = now - found.st_mtime
    return max(0.0, passed) if passed > -2.0 else None


def free_space(folder: File) -> int:
    """Bytes free for the user where a folder lies. Raises OSError."""
    with folder.folder.opened() as root:
        found = os.fstatvfs(root)
    return found.f_bavail * found.f_frsize
