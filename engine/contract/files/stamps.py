"""Is what lies in a folder still what it was? Answered without reading it, by a stamp of inode, size, mtime and ctime.

No program can set a ctime: what was written, replaced, renamed or had its times put back has another one. Two changes
within one tick of a file system's clock have the same one; so a stamp counts only where all of it was settled, that is
older than the coarsest tick, when one began to look.

On network file systems the answer of `stat` may be as old as the client's cache of attributes; opening asks the server.
Where a ctime is only another name for the mtime, as on memory cards and Windows shares, there are no stamps.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from engine.contract.files.file_system import temporary_in
from engine.contract.files.opening import NONBLOCKING, O_PATH

TICK = 2_500_000_000  # ns; FAT has the coarsest clock, of 2 s
CLOCKS_DIFFER = 24 * 3600 * 1_000_000_000  # ns between our clock and a server's which cannot be asked, at most
# Those whose only clock is this machine's, and whose `stat` is never out of date
LOCAL = {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "tmpfs", "xfs", "zfs"}
SHARED = {"beegfs", "ceph", "gfs2", "gpfs", "lustre", "nfs", "nfs4", "ocfs2"}  # between machines
_KINDS = (stat.S_IFREG, stat.S_IFDIR)
_KIND = 0o170000  # bits of a mode that tell the kind
_facts = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns", "st_mode")


class Stamp(NamedTuple):
    digest: str
    newest: int  # ns: the latest of the times in it

    def is_settled(self, began: int) -> bool:
        """Will whatever has changed since `began` show in a later stamp?"""
        return self.newest < began - TICK


class Stamper:
    """Stamps of what lies below one folder."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError where it cannot be opened, or its file system is not known to tell what changed."""
        self._root = os.open(folder, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        kind = _file_system(self._root)
        if kind not in LOCAL | SHARED:
            os.close(self._root)
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(folder))
        self._device = os.fstat(self._root).st_dev
        self._is_local = kind in LOCAL
        by_name = partial(os.stat, dir_fd=self._root, follow_symlinks=False)
        self._look: Callable[[str], os.stat_result] = by_name if self._is_local else self._by_opening

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)

    @cached_property
    def began(self) -> int:
        """When it was first asked for, in ns by the clock that stamps the files; rather too early than too late."""
        if self._is_local:
            return time.time_ns()
        try:
            with temporary_in(self._root) as probe:
                return os.fstat(probe).st_mtime_ns
        except OSError:
            return time.time_ns() - CLOCKS_DIFFER

    def stamp(self, names: Iterable[str]) -> Stamp | None:
        """Of all these together. None where one is missing, neither file nor folder, or on another file system."""
        words = self._words(names)
        if words is None or any(mode & _KIND not in _KINDS for mode in words[4::5]):
            return None
        return Stamp(_digest(words), max(0, *words[2::5], *words[3::5]))

    def _words(self, names: Iterable[str]) -> list[int] | None:
        """What is compared of each, one after the other: tens of thousands are looked at for one list of runs."""
        words: list[int] = []
        look = self._look
        try:
            for name in names:
                words += _facts(look(name))
        except OSError:
            return None
        if set(words[::6]) - {self._device}:
            return None
        del words[::6]
        return words

    def digest(self, name: str, parts: Sequence[str]) -> str:
        """Of the stamp of these names, each of which begins with `name`; empty where there is none."""
        words = self._words([name + part for part in parts])
        return _digest(words) if words is not None else ""  # what is neither file nor folder has another mode

    def folders(self, name: str) -> list[str]:
        """This folder and every one below it, no link followed. Raises OSError."""
        found = [name]
        for folder in found:  # which grows
            flags = os.O_RDONLY | os.O_DIRECTORY | NONBLOCKING
            descriptor = os.open(folder, flags, dir_fd=self._root)
            try:
                with os.scandir(descriptor) as entries:
                    found += [f"{folder}/{one.name}" for one in entries if one.is_dir(follow_symlinks=False)]
            finally:
                os.close(descriptor)
        return found

    def is_there(self, name: str) -> bool:
        try:
            self._look(name)
        except OSError:
            return False
        return True

    def _by_opening(self, name: str) -> os.stat_result:
        descriptor = os.open(name, os.O_RDONLY | NONBLOCKING, dir_fd=self._root)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)


def _digest(words: list[int]) -> str:
    try:
        packed = struct.pack("=" + "QqqqI" * (len(words) // 5), *words)
    except struct.error:  # times in a distant future
        packed = repr(words).encode()
    return blake2b(packed, digest_size=16).hexdigest()


def _file_system(descriptor: int) -> str | None:
    """The type of the one that a descriptor is on; None where the system does not say."""
    if sys.platform != "linux":
        return None
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as file:  # noqa: PTH123
            ids = [line.split()[1] for line in file if line.startswith("mnt_id:")]
        with open("/proc/self/mountinfo", errors="replace") as file:  # noqa: PTH123
            mounts = [line for line in file if line.split(" ", 1)[0] in ids]
        return mounts[0].rpartition(" - ")[2].split()[0]
    except (OSError, IndexError):
        return None
