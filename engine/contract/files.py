"""Files that are whole or not there."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open an existing regular file; never waits, as a pipe under its name would make it. Raises OSError."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb" if flags == os.O_RDONLY else "rb+")


def read_bounded(path: Path, limit: int = 16 * 1024 * 1024) -> bytes:
    """All of a regular file, which may be anybody's. Raises OSError, for one of more than `limit` bytes too."""
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))
    return content


@contextmanager
def written_whole(path: Path, *, durable: bool = True, mode: int = 0o644) -> Iterator[Path]:
    """A temporary file beside `path` to write to; it is renamed into place when the block ends well.

    `durable` also flushes file and folder to the disk, so that a power cut leaves the old file or the new one. When
    the block raises, nothing is left but what stood there before. Raises OSError.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem[:60]}.", suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
        if durable:
            _flush(temporary, os.O_RDONLY)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _flush(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def write_text(path: Path, text: str, *, durable: bool = True, mode: int = 0o644) -> None:
    """Write a text file whole."""
    with written_whole(path, durable=durable, mode=mode) as temporary:
        temporary.write_text(text, encoding="utf-8")


def put_aside(path: Path) -> Path:
    """Give what stands in the way another name, `NAME.aside`; nothing is overwritten. Raises OSError."""
    names = (path.with_name(f"{path.name}.aside{number}") for number in chain([""], count(2)))
    return path.rename(next(name for name in names if not os.path.lexists(name)))


def sweep(folder: Path) -> list[str]:
    """Remove what killed writers of `written_whole`, and of safetensors, left in a folder; the names. Raises OSError.

    Only for who alone writes there: a temporary file of a living writer looks the same.
    """
    left = [entry for entry in folder.iterdir() if _TEMPORARY.fullmatch(entry.name) and not entry.is_dir()]
    for entry in left:
        entry.unlink(missing_ok=True)
    return [entry.name for entry in left]


# `.last.k3j_x9ab.safetensors` is ours, `.tmpA1b2C3` is what safetensors writes to first
_TEMPORARY = re.compile(r"\..{1,60}\.[a-z0-9_]{8}(\.[a-z]+)?|\.tmp[A-Za-z0-9]{6}")


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
