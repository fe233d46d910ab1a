"""Which files count as ours: the user's, in a shared folder the group's, on network shares the mount owner's."""

from __future__ import annotations

import os
import stat

from engine.contract.files.file_system import temporary_in


def is_owner_of_ours(found: os.stat_result, folder: int) -> bool:
    """Is this the user's own; for root also that of the folder's owner; in a group's folder also the group's?

    A folder is a group's where it, or the one above it, has the set-group-ID bit and may be written by its group.
    """
    user = os.geteuid()
    if found.st_uid == user:
        return True
    here = os.fstat(folder)
    if user == 0 and found.st_uid == here.st_uid:
        return True
    return found.st_gid == shared_group(folder)


def shared_group(folder: int) -> int | None:
    """The group that shares a folder (a descriptor), if one does and the user is of it."""
    for found in (os.fstat(folder), os.stat("..", dir_fd=folder)):
        if is_shared(found):
            mine = os.geteuid() == 0 or found.st_gid in (os.getegid(), *os.getgroups())
            return found.st_gid if mine else None
    return None


def is_shared(folder: os.stat_result) -> bool:
    """Does a folder say that it is a group's: set-group-ID, and writable by the group (`chmod g+ws`)?"""
    return bool(folder.st_mode & stat.S_ISGID and folder.st_mode & stat.S_IWGRP)


def owner_that_new_files_get(folder: int) -> int | None:
    """On shares that show one owner for all (CIFS, squashed NFS) ours are known by what a new file there shows."""
    try:
        with temporary_in(folder) as descriptor:
            return os.fstat(descriptor).st_uid
    except OSError:
        return None


def user_name(uid: int) -> str:
    """`ada`, or `user 1001` for one that has no name here."""
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return f"user {uid}"
