"""Operations that not every file system supports, each with its workaround."""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from engine.contract.files.opening import NONBLOCKING

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}  # full: the disk, its inodes, or a user's quota
# Errors of file systems without such an operation, such as network shares, FUSE and memory cards
_CANNOT = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.ENOTTY, errno.EBADF}
_NO_MODES = {*_CANNOT, errno.EPERM, errno.EACCES}
_NO_REPLACING = {errno.EEXIST, errno.EPERM, errno.EACCES, errno.EINVAL}
_NO_MAPS = {errno.ENODEV, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM}


def flush(descriptor: int) -> None:
    """To the disk, where the file system knows how. Raises OSError for what failed, not for what it cannot do."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def try_lock(descriptor: int) -> bool:
    """Lock a file or a folder for this process alone. False while another holds it; true where locks do not exist."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # this file system has no locks
    return True


def append_all(descriptor: int, data: bytes) -> None:
    """Write all of it to a file that was opened to append, or leave the file as it was. Raises OSError."""
    before = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def end_of_torn_line(descriptor: int) -> bytes:
    """What a file of JSON lines needs before the next one: where a writer died in its last line, an end that spoils it.

    It may lack no more than its line feed. Whoever read the file since has passed it over, and has acted on that.
    """
    size = os.fstat(descriptor).st_size
    return b"#\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""


def set_mode(descriptor: int, mode: int) -> None:
    """The mode, where modes mean anything: CIFS, exFAT and S3 mounts refuse to change them. Raises OSError."""
    try:
        os.fchmod(descriptor, mode)
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise


def flush_folder(folder: int) -> None:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def replace(source: int, old: str, target: int, new: str) -> None:
    """Rename; where the file system cannot do that over a file, the file goes first. Raises OSError."""
    try:
        os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno not in _NO_REPLACING or not _is_regular_at(target, new):
            raise
        os.stat(old, dir_fd=source, follow_symlinks=False)  # else nothing would be left
        os.unlink(new, dir_fd=target)
        os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)


def _is_regular_at(folder: int, name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def cannot_map(error: OSError) -> bool:
    """Is that how a file system refuses a shared map? Some 9p and FUSE mounts do; the file is then read instead."""
    return error.errno in _NO_MAPS


@contextmanager
def temporary_in(folder: int) -> Iterator[int]:
    """A new empty file in a folder (a descriptor), without a name that outlives the block. Raises OSError."""
    name = f".probe.{random_word()}"
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | NONBLOCKING, 0o600, dir_fd=folder)
    unlinked = False
    try:
        with contextlib.suppress(OSError):  # some file systems keep the name of what is open
            os.unlink(name, dir_fd=folder)
            unlinked = True
        yield descriptor
    finally:
        os.close(descriptor)
        if not unlinked:
            os.unlink(name, dir_fd=folder)


def random_word() -> str:
    return base64.b32encode(os.urandom(5)).decode().lower()


def remedy_for_writing(error: OSError) -> str:
    """What helps where nothing can be written: permissions do not help on a full disk."""
    if error.errno in NO_ROOM:
        return "Free some space (`df -h`, `df -i`), or choose another --workspace."
    return "Make it writable, or choose another --workspace."
