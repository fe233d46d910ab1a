"""The bytes of an archive: opened once, hashed in one pass, and from then on only read as they were hashed.

Whatever happens to the file between hashing and unpacking, nothing but what its MD5 vouches for is unpacked: every
chunk that is read again must have the digest that it had in the first pass.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from hashlib import blake2b, md5
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

from engine.contract.data.archives import open_data_file
from engine.contract.data.sums import known_checksum, remember_checksum, settle
from engine.contract.wire.errors import DataError
from engine.sentences import Archive

CHUNK = 1024 * 1024  # bytes; a few milliseconds of hashing
OnRead = Callable[[str, int, int], None]  # what is done, bytes so far, of how many; called often, raises to end it


def no_progress(activity: str, done: int, total: int) -> None:
    """For reads whose progress nobody follows."""


class ArchiveFile:
    """An open archive. Raises DataError, here and in every method, for what cannot be read."""

    def __init__(self, path: Path, memory: Path, on_read: OnRead = no_progress) -> None:
        """`memory`: the JSON file that remembers sums."""
        self.path, self._memory, self._on_read = path, memory, on_read
        try:
            self._file = open_data_file(path)
            self._stat = os.fstat(self._file.fileno())
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
        self.size = self._stat.st_size  # bytes; what is appended later is not read
        self._digests: list[bytes] = []  # one per chunk

    def __enter__(self) -> ArchiveFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    @property
    def hashed(self) -> bool:
        """Can `content` be read?"""
        return bool(self._digests)

    def md5(self, *, reread: bool = False) -> str:
        """As it is remembered of this very file, else as `hash` finds it; `reread` reads it in any case."""
        return (None if reread else known_checksum(self.path, self._stat, self._memory)) or self.hash()

    def hash(self) -> str:
        """The MD5, read again; `content` is bound to the bytes of this reading."""
        settle(self._stat)
        overall, digests = md5(usedforsecurity=False), []
        for start in range(0, self.size, CHUNK):
            chunk = self.read(start, min(CHUNK, self.size - start))
            overall.update(chunk)
            digests.append(blake2b(chunk, digest_size=16).digest())
            self._on_read(f"verifying {self.path.name}", start + len(chunk), self.size)
        self._digests = digests
        found = overall.hexdigest()
        if _as_before(self._stat, os.fstat(self._file.fileno())):
            remember_checksum(self.path, self._stat, found, self._memory)
        return found

    def content(self) -> BinaryIO:
        """The archive as `hash` read it, to read from. Raises DataError where it has become another."""
        assert self._digests, "only what was hashed can be read"
        return cast(BinaryIO, io.BufferedReader(_Content(self), 64 * 1024))

    def comment(self) -> bytes:
        """What the zip says of itself; b"" where it is none. A label: no digest is checked for it."""
        try:
            with zipfile.ZipFile(self._file) as archive:
                return archive.comment
        except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, ValueError, EOFError, NotImplementedError):
            return b""

    def chunk(self, number: int) -> bytes:
        """A chunk that is the same as when it was hashed."""
        data = self.read(number * CHUNK, min(CHUNK, self.size - number * CHUNK))
        if blake2b(data, digest_size=16).digest() != self._digests[number]:
            raise DataError(Archive.CHANGED, path=self.path)
        return data

    def read(self, start: int, size: int) -> bytes:
        """Exactly these bytes."""
        parts: list[bytes] = []
        try:
            while size > 0:
                part = os.pread(self._file.fileno(), size, start)
                if not part:
                    raise OSError(0, f"it ended at {start:,} of {self.size:,} bytes")
                parts.append(part)
                start, size = start + len(part), size - len(part)
        except OSError as error:
            raise _unreadable(self.path, error) from None
        return b"".join(parts)


class _Content(io.RawIOBase):
    """The verified bytes as a file to seek and read in."""

    def __init__(self, archive: ArchiveFile) -> None:
        self._archive, self._position = archive, 0
        self._number, self._chunk = -1, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._archive.size}[whence]
        if base + offset < 0:
            raise OSError(22, "a position before the start")  # as files do, which zipfile counts on
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._archive.size or not len(buffer):
            return 0
        number, offset = divmod(self._position, CHUNK)
        if number != self._number:
            self._chunk = self._archive.chunk(number)
            self._number = number
        part = self._chunk[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)


def _as_before(before: os.stat_result, now: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (now.st_size, now.st_mtime_ns, now.st_ctime_ns)


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or str(error)
    return DataError(Archive.UNREADABLE, path=path, reason=reason)
