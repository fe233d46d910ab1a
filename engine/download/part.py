"""A file as far as it is there: next to its target, under a name by which the next fetcher finds it, and locked.

One process at a time fetches a file; others wait for it. What was cut, and is large, stays for the next one. Where the
file system has no locks, each fetcher has a part of its own, which never stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from engine.contract.data.archives import PART_SUFFIX
from engine.contract.files.file_system import flush, flush_folder
from engine.contract.files.folders import File
from engine.contract.wire.text import format_bytes
from engine.download.failures import DownloadFailed
from engine.sentences import Downloads

KEPT = 4_000_000  # bytes; a smaller part is not worth keeping
ROOM = 10_000_000  # bytes that stay free
ABANDONED = 60.0  # seconds without a write, after which a file without a lock is a killed fetcher's
WAIT = 0.2  # seconds between two looks at a part that another process fetches
_CHUNK = 1024 * 1024  # bytes


@dataclass(frozen=True)
class Download:
    url: str
    target: Path
    algorithm: Literal["md5", "sha256"]
    digest: str  # in hex digits; a beginning is enough
    largest: int  # bytes; whatever is larger is not this file
    authorization: str | None = field(default=None, repr=False)  # the header, for the host of `url` alone


class Part:
    """The bytes that are there, and the digest of them."""

    def __init__(self, spec: Download, file: IO[bytes]) -> None:
        self.spec, self.file = spec, file
        self.done = 0  # bytes
        self.total: int | None = None  # as the server says
        self.kind = ""  # the server's Content-Type
        self.resumed = False  # does it begin with what another process fetched?
        self._digest = hashlib.new(spec.algorithm, usedforsecurity=False)

    def take_up(self, on_progress: Callable[[int, int | None], None]) -> None:
        """Read what an earlier fetcher left, where it can be read: a part of our own has nothing."""
        if not self.file.readable():
            return
        self.file.seek(0)
        while chunk := self.file.read(_CHUNK):
            self._digest.update(chunk)
            self.done += len(chunk)
            on_progress(self.done, None)
        self.resumed = self.done > 0
        if self.done > self.spec.largest:
            self.start_over()

    def start_over(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.done, self.resumed = 0, False
        self._digest = hashlib.new(self.spec.algorithm, usedforsecurity=False)

    def begin(self, start: int, total: int | None, kind: str) -> None:
        """The server continues where the file ends, or starts over. Raises DownloadFailed where there is no space."""
        if start != self.done:
            self.start_over()
        self.total, self.kind = total, kind
        self._refuse_larger(self.total or 0)
        free = shutil.disk_usage(self.spec.target.parent).free
        missing = (self.total or 0) - self.done
        if missing + ROOM > free:
            need, found, folder = format_bytes(missing), format_bytes(free), self.spec.target.parent
            raise DownloadFailed(Downloads.NO_SPACE, need=need, folder=folder, found=found)

    def write(self, chunk: bytes) -> None:
        self._refuse_larger(self.done + len(chunk))
        self.file.write(chunk)
        self._digest.update(chunk)
        self.done += len(chunk)

    @property
    def is_right(self) -> bool:
        return self._digest.hexdigest().startswith(self.spec.digest)

    def verify(self) -> None:
        if not self.is_right:
            raise DownloadFailed(
                Downloads.WEB_PAGE if "html" in self.kind else Downloads.DIGEST,
                algorithm="MD5" if self.spec.algorithm == "md5" else "SHA-256",
                expected=self.spec.digest,
                found=self._digest.hexdigest(),
                size=self.done,
                what=f" of {self.kind}" if self.kind else "",
            )

    def _refuse_larger(self, size: int) -> None:
        if size > self.spec.largest:
            raise DownloadFailed(Downloads.TOO_LARGE, expected=self.spec.largest, found=size)


def part_of(target: File, digest: str) -> File:
    return target.with_name(f".{target.name[:200]}.{digest[:8]}{PART_SUFFIX}")


Held = Literal["held", "busy", "no locks"]


@contextmanager
def opened_part(spec: Download, target: File, wait: Callable[[int], None]) -> Iterator[IO[bytes] | None]:
    """The file to write to, for this process alone; it takes the target's place when the block ends well.

    None where another process fetched the target meanwhile. wait: called while another one is at it, with the bytes
    that it has; raises to end it. When the block raises, what is left is kept if it is large, and neither wrong nor
    more than the disk can hold. Raises OSError.
    """
    _sweep(target)
    before = _identity(target)
    part = part_of(target, spec.digest)
    while True:
        descriptor = part.descriptor(os.O_RDWR | os.O_CREAT)
        with os.fdopen(descriptor, "rb+") as file:
            held = _lock(file)
            if held == "no locks":
                part.delete()
                break
            if held == "held" and _is_still(part, file):
                yield from _filled(file, part, target, None if _identity(target) == before else spec)
                return
            wait(os.fstat(file.fileno()).st_size)
        time.sleep(WAIT)
    with target.replacing() as private:
        yield private  # type: ignore[misc]


def _filled(file: IO[bytes], part: File, target: File, appeared: Download | None) -> Iterator[IO[bytes] | None]:
    """`appeared`: another process may have fetched the target."""
    if appeared is not None and _has(target, appeared):
        part.delete()
        yield None
        return
    try:
        yield file
        file.flush()
        flush(file.fileno())
        part.move(target)
        _flush_folder(target.parent)
    except OSError:
        part.delete()
        raise
    except BaseException as error:
        with contextlib.suppress(OSError):
            file.flush()
        if not _is_worth_keeping(file, error):
            part.delete()
        raise


def _flush_folder(folder: File) -> None:
    descriptor = folder.open_folder()
    try:
        flush_folder(descriptor)
    finally:
        os.close(descriptor)


def _is_worth_keeping(file: IO[bytes], error: BaseException) -> bool:
    useless = (Downloads.DIGEST, Downloads.WEB_PAGE, Downloads.TOO_LARGE)
    wrong = isinstance(error, DownloadFailed) and error.code in {sentence.code for sentence in useless}
    return not wrong and os.fstat(file.fileno()).st_size >= KEPT


def _lock(file: IO[bytes]) -> Held:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "busy"
    except OSError:
        return "no locks"
    return "held"


def _is_still(part: File, file: IO[bytes]) -> bool:
    """Has the open file still this name? Else another process finished it, or gave it up, before we had the lock."""
    found, ours = part.info(), os.fstat(file.fileno())
    return found is not None and (found.st_ino, found.st_dev) == (ours.st_ino, ours.st_dev)


def _identity(file: File) -> tuple[int, int, int] | None:
    found = file.info()
    return None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)


def _has(target: File, spec: Download) -> bool:
    digest = hashlib.new(spec.algorithm, usedforsecurity=False)
    try:
        with target.reading() as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return False
    return digest.hexdigest().startswith(spec.digest)


def _sweep(target: File) -> None:
    """Remove the temporary files of this target that a killed fetcher left where there are no locks, or an older
    medtui."""
    folder, stem = target.parent, target.path.stem[:60]
    for name in folder.names():
        left = folder / name
        found = left.info()
        ours = name.startswith(f".{stem}.") and name.endswith(target.suffix) and left.is_regular
        if not ours or found is None or time.time() - found.st_mtime < ABANDONED:
            continue
        with contextlib.suppress(OSError), left.reading() as file:  # it is being written, or it is not ours
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.delete()
