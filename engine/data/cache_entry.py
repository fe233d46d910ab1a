"""What a folder of decoded arrays records about itself, and whether it is still so.

Next to the arrays is `entry.json`: the MD5 of the archive that they were unpacked from, and size, digest and file
times of each array as it was written. A start compares the times; an array whose times differ is hashed again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.contract.files.folders import File
from engine.contract.files.opening import kind_of
from engine.data.archive_file import CHUNK, OnRead, no_progress

FILE = "entry.json"
LIMIT = 64 * 1024  # bytes of it


class Array(BaseModel):
    """One array's file as it was written."""

    model_config = ConfigDict(frozen=True, strict=True)

    size: int  # bytes
    digest: str  # BLAKE2b-16 of the file
    mtime: int  # nanoseconds
    ctime: int  # nanoseconds
    inode: int


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    format: Literal[1] = 1
    archive: str | None  # MD5; None for what was generated
    arrays: dict[str, Array]


class Unrecorded(Exception):
    """A folder of an older medtui, which wrote no `entry.json`."""


class Damaged(Exception):
    """Something is not as it was decoded; the text says what."""


def copy_array(source: IO[bytes], target: File, on_bytes: Callable[[int], None]) -> str:
    """Write an array's file; its digest. `on_bytes`: called with the bytes of each chunk. Raises OSError."""
    digest = blake2b(digest_size=16)
    with os.fdopen(target.descriptor(os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()


def write_entry(folder: File, archive: str | None, digests: dict[str, str]) -> None:
    """Record a folder that was just filled; `digests`: by array. Raises OSError."""
    arrays = {name: _array(folder, name, digest) for name, digest in digests.items()}
    (folder / FILE).write(Entry(archive=archive, arrays=arrays).model_dump_json(indent=1) + "\n", durable=False)


def check_entry(
    folder: File, archive: str | None, names: Iterable[str], on_read: OnRead = no_progress, *, reread: bool = False
) -> Entry:
    """The entry, when every array is as it was decoded from this archive. Raises Unrecorded, Damaged.

    `reread` hashes every array, whatever its times say.
    """
    entry = _read_entry(folder)
    if entry.archive != archive:
        raise Damaged(f"it was decoded from another archive, MD5 {entry.archive}")
    arrays = {name: _checked(folder, name, entry, on_read, reread=reread) for name in names}
    if arrays != entry.arrays:
        entry = Entry(archive=archive, arrays=arrays)
        with contextlib.suppress(OSError):  # in a cache that cannot be written it is hashed at every start
            (folder / FILE).write(entry.model_dump_json(indent=1) + "\n", durable=False)
    return entry


def digest_of(array: File, on_read: OnRead = no_progress) -> str:
    """BLAKE2b-16 of an array's file. Raises OSError."""
    digest, done = blake2b(digest_size=16), 0
    with array.reading() as file:
        size = os.fstat(file.fileno()).st_size
        while done < size and (chunk := file.read(min(CHUNK, size - done))):
            digest.update(chunk)
            done += len(chunk)
            on_read(f"checking the decoded {array.name}", done, size)
    return digest.hexdigest()


def _read_entry(folder: File) -> Entry:
    try:
        return Entry.model_validate_json((folder / FILE).content(LIMIT))
    except (FileNotFoundError, NotADirectoryError):
        raise Unrecorded from None
    except (OSError, ValidationError) as error:
        reason = "not JSON of this version" if isinstance(error, ValidationError) else error.strerror
        raise Damaged(f"{FILE} cannot be used: {reason}") from None


def _checked(folder: File, name: str, entry: Entry, on_read: OnRead, *, reread: bool) -> Array:
    """The array as it is now, its content as recorded."""
    recorded = entry.arrays.get(name)
    if recorded is None:
        raise Damaged(f"{FILE} does not record {name}")
    try:
        found = _array(folder, name, recorded.digest)
        if found == recorded and not reread:
            return found
        if found.size == recorded.size and digest_of(folder / f"{name}.npy", on_read) == recorded.digest:
            return found
    except OSError as error:
        raise Damaged(f"{name}.npy cannot be read: {error.strerror}") from None
    raise Damaged(f"{name}.npy is not what was decoded")


def _array(folder: File, name: str, digest: str) -> Array:
    found = (folder / f"{name}.npy").info()
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"it is {kind_of(found)}, not a regular file")
    return Array(
        size=found.st_size, digest=digest, mtime=found.st_mtime_ns, ctime=found.st_ctime_ns, inode=found.st_ino
    )
