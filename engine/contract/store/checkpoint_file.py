"""What can be known of a safetensors checkpoint without torch: its header, and whether its digest holds.

The digest covers names, types, shapes and bytes of every tensor in the order of their names, and the metadata, so it
does not depend on how the file is laid out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, BinaryIO

from engine.contract.files.folders import FileOrPath, file_at
from engine.contract.sentences import Checkpoint
from engine.contract.wire.errors import CheckpointError

HEADER_LIMIT = 64 * 1024 * 1024  # bytes
DIGEST = "digest"  # the metadata key that holds it
_ITEM_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "U8": 1, "BOOL": 1}
_CHUNK = 1024 * 1024  # bytes


@dataclass(frozen=True)
class Entry:
    """One tensor as the header declares it; `start` and `end` count from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    metadata: dict[str, str]
    entries: tuple[Entry, ...]  # by name


class ContentDigest:
    """BLAKE2b-16 over tensors, which must come sorted by name, and metadata."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)

    def tensor(self, name: str, dtype: str, shape: Iterable[int]) -> None:
        self._hash.update(f"\0{name}\0{dtype}\0{list(shape)}\0".encode())

    def data(self, data: Any) -> None:
        self._hash.update(data)

    def metadata(self, metadata: dict[str, str]) -> None:
        kept = {key: value for key, value in metadata.items() if key != DIGEST}
        self._hash.update(json.dumps(kept, sort_keys=True).encode())

    def hex(self) -> str:
        return self._hash.hexdigest()


def read_header(path: FileOrPath) -> Header:
    """The header of a safetensors file, every number in it checked. Raises CheckpointError."""
    try:
        with file_at(path).reading() as file:
            return header_of(file, path)
    except OSError as error:
        raise CheckpointError(Checkpoint.UNREADABLE, path=path, reason=error.strerror) from None


def header_of(file: BinaryIO, path: FileOrPath) -> Header:
    """The header of an open file. Raises CheckpointError or OSError."""
    try:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(HEADER_LIMIT, size - 8):
            raise _damaged(path, f"a header of {length:,} bytes in a file of {size:,}")
        header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        if not all(isinstance(value, str) for value in metadata.values()):
            raise _damaged(path, "metadata that is not text")
        entries = tuple(_entry(path, name, header[name], 8 + length, size) for name in sorted(header))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _damaged(path, str(error)[:80] or type(error).__name__) from None
    return Header(metadata, entries)


def _entry(path: FileOrPath, name: str, declared: Any, data: int, size: int) -> Entry:
    name.encode()  # a lone surrogate is no name
    numbers = [*declared["shape"], *declared["data_offsets"]]
    if not all(type(number) is int for number in numbers):
        raise _damaged(path, f"{name[:60]!r} with sizes that are not integers")
    shape = tuple(declared["shape"])
    start, end = (offset + data for offset in declared["data_offsets"])
    expected = math.prod(shape) * _ITEM_BYTES[declared["dtype"]]
    if min((0, *shape)) < 0 or not data <= start <= end <= size or end - start != expected:
        raise _damaged(path, f"{name[:60]!r} at bytes {start} to {end} of {size}")
    return Entry(name, declared["dtype"], shape, start, end)


def no_op() -> None:
    """For reads that cannot be cancelled."""


def verified_digest(path: FileOrPath, on_progress: Callable[[], None] = no_op) -> str:
    """The digest of a checkpoint, computed from its bytes. Raises CheckpointError when it is not the declared one.

    `on_progress`: called after each chunk; what it raises ends the reading.
    """
    with opened_checkpoint(path, on_progress) as (_, header):
        return header.metadata[DIGEST]


@contextmanager
def opened_checkpoint(path: FileOrPath, on_progress: Callable[[], None] = no_op) -> Iterator[tuple[BinaryIO, Header]]:
    """A checkpoint whose digest was just verified, to be read by its header from the very file that was verified.

    Raises CheckpointError.
    """
    try:
        with file_at(path).reading() as file:
            header = header_of(file, path)
            declared, found = header.metadata.get(DIGEST), _digest(file, header, on_progress, with_metadata=True)
            if declared != found:
                raise _damaged(path, f"the digest {found}, but {declared} is declared")
            yield file, header
    except OSError as error:
        raise CheckpointError(Checkpoint.UNREADABLE, path=path, reason=error.strerror) from None


def weights_digest(path: FileOrPath, on_progress: Callable[[], None] = no_op) -> str:
    """The digest of the tensors alone: equal for equal weights, whatever the metadata says. Raises CheckpointError."""
    try:
        with file_at(path).reading() as file:
            return _digest(file, header_of(file, path), on_progress, with_metadata=False)
    except OSError as error:
        raise CheckpointError(Checkpoint.UNREADABLE, path=path, reason=error.strerror) from None


def _digest(file: BinaryIO, header: Header, on_progress: Callable[[], None], *, with_metadata: bool) -> str:
    digest = ContentDigest()
    for entry in header.entries:
        digest.tensor(entry.name, entry.dtype, entry.shape)
        file.seek(entry.start)
        left = entry.end - entry.start
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            digest.data(chunk)
            left -= len(chunk)
            on_progress()
    if with_metadata:
        digest.metadata(header.metadata)
    return digest.hex()


def _damaged(path: FileOrPath, found: str) -> CheckpointError:
    return CheckpointError(Checkpoint.DAMAGED, path=path, found=found)
