"""Opening what lies below a folder, no link on the way followed: by openat2 where there is one, else part by part."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path

O_PATH = getattr(os, "O_PATH", os.O_RDONLY)  # Linux: a handle for the names below it, whatever its mode allows else
NONBLOCKING = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY


class Untrusted(OSError):
    """Under this name lies something that must not be followed, read or written. `strerror` says what."""

    def __init__(self, path: os.PathLike[str], found: str, number: int = errno.ELOOP) -> None:
        super().__init__(number, found, str(path))

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def kind_of(found: os.stat_result) -> str:
    """`a link`, `a pipe`, `a device` …"""
    mode = found.st_mode
    kinds = {
        stat.S_ISLNK: "a link",
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a pipe",
        stat.S_ISSOCK: "a socket",
        stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device",
    }
    return next((word for is_kind, word in kinds.items() if is_kind(mode)), "a file")


def open_below(path: Path, root: int, name: str, flags: int, mode: int = 0o666) -> int:
    """Open a name below a folder, no link in it followed. Raises OSError; Untrusted where a part of it is a link."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise Untrusted(path / name.replace("\0", "\\0"), "it is outside its folder", errno.EINVAL)
    # openat2 refuses what makes no sense for a mere handle
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW if flags & O_PATH else NONBLOCKING
    try:
        return _openat2(root, name, flags, mode)
    except _NoOpenat2:
        pass
    except OSError as error:
        raise _named(error, path, root, parts) from None
    try:
        return _part_by_part(root, parts, flags, mode)
    except OSError as error:
        raise _named(error, path, root, parts) from None


def open_in(folder: int, name: str, flags: int) -> int:
    """Open a name of one part in an open folder, in one step; a link is not followed. Raises OSError."""
    return os.open(name, flags | NONBLOCKING, dir_fd=folder)


def _named(error: OSError, path: Path, root: int, parts: list[str]) -> OSError:
    """The error with the complete path in it; a link on the way is reported as such."""
    for end in range(1, len(parts) + 1):
        below = "/".join(parts[:end])
        try:
            found = os.stat(below, dir_fd=root, follow_symlinks=False)
        except OSError:
            break
        if stat.S_ISLNK(found.st_mode):
            return Untrusted(path / below, "it is a link, which is not followed")
        if not stat.S_ISDIR(found.st_mode):
            if error.errno == errno.ENXIO:
                return Untrusted(path / below, f"it is {kind_of(found)}, not a regular file", errno.EINVAL)
            break
    return OSError(error.errno, error.strerror, str(path / "/".join(parts)))


def _part_by_part(root: int, parts: list[str], flags: int, mode: int) -> int:
    descriptor = root
    try:
        for part in parts[:-1]:
            below = os.open(part, O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            if descriptor != root:
                os.close(descriptor)
            descriptor = below
        return os.open(parts[-1], flags, mode, dir_fd=descriptor)
    finally:
        if descriptor != root:
            os.close(descriptor)


class _NoOpenat2(Exception):
    """The kernel, or a sandbox around us, has no openat2."""


_OPENAT2 = 437  # its number on every architecture of Linux that Python runs on


_RESOLVE = 0x02 | 0x04 | 0x08  # no magic links, no symbolic links, beneath the folder


_WITHOUT_OPENAT2 = {errno.ENOSYS, errno.EPERM, errno.E2BIG, errno.EAGAIN}


def _openat2(root: int, name: str, flags: int, mode: int) -> int:
    """openat2(2), Linux 5.6: the kernel itself refuses links and ways out, all parts in one step."""
    return _openat2_call()(root, name, flags, mode)


@cache
def _openat2_call() -> Callable[[int, str, int, int], int]:
    import ctypes
    import sys

    def without(root: int, name: str, flags: int, mode: int) -> int:
        raise _NoOpenat2

    if sys.platform != "linux":
        return without
    call = ctypes.CDLL(None, use_errno=True).syscall

    class How(ctypes.Structure):
        _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))

    def openat2(root: int, name: str, flags: int, mode: int) -> int:
        how = How(flags, mode if flags & os.O_CREAT else 0, _RESOLVE)
        while True:
            descriptor = call(
                ctypes.c_long(_OPENAT2),
                ctypes.c_int(root),
                ctypes.c_char_p(os.fsencode(name)),
                ctypes.byref(how),
                ctypes.c_size_t(ctypes.sizeof(how)),
            )
            if descriptor >= 0:
                return int(descriptor)
            number = ctypes.get_errno()
            if number in _WITHOUT_OPENAT2:
                raise _NoOpenat2
            if number != errno.EINTR:
                raise OSError(number, os.strerror(number), name)

    return openat2
