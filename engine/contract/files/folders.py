"""The only way to the files of runs, workspaces, caches and settings: nothing that is not ours is followed.

A file is reached from the descriptor of the folder that it belongs to, and no link in the names below that folder is
followed. What is written to must be a regular file with one name and of an owner of ours; what is read must be a
regular file. Whatever else lies under a name is refused with one sentence (`Untrusted`, an OSError). New files get the
mode that the user's umask gives them.

A folder that is held (`Folder.hold`) stays the same folder when it, or one above it, is renamed or moved.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TextIO, cast

from engine.contract.files.file_system import append_all, flush, flush_folder, random_word, replace, set_mode
from engine.contract.files.opening import NONBLOCKING, O_PATH, Untrusted, kind_of, open_below
from engine.contract.files.owners import is_owner_of_ours, owner_that_new_files_get, user_name

READ_LIMIT = 16 * 1024 * 1024  # bytes


# `.last.k3j_x9ab.safetensors` is ours; `.tmpA1b2C3` is what safetensors wrote to first in earlier versions
_TEMPORARY = re.compile(r"\..{1,60}\.[a-z0-9_]{8}(\.[a-z]+)?|\.tmp[A-Za-z0-9]{6}")


class Folder:
    """A folder, and the way to everything below it."""

    def __init__(self, path: Path, *, follow: bool = True) -> None:
        """`follow`: whether the last part of `path` may be a link, as in a path that the user gave."""
        self.path = path
        self._follow = follow
        self._held: int | None = None

    def __repr__(self) -> str:
        return f"Folder({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def file(self, name: str) -> File:
        return File(self, name)

    @property
    def itself(self) -> File:
        return File(self, "")

    def make(self) -> None:
        """The folder, and those above it, where they are missing. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)

    def hold(self) -> None:
        """Open it for good: from now on it is this folder, wherever it is moved. Raises OSError."""
        if self._held is None:
            self._held = self._open()

    def release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    @property
    def identity(self) -> tuple[int, int] | None:
        """Device and inode, which a rename does not change; None where it cannot be opened."""
        try:
            with self.opened() as descriptor:
                found = os.fstat(descriptor)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Its descriptor, for names below it; not for listing. Raises OSError."""
        if self._held is not None:
            yield self._held
            return
        descriptor = self._open()
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        flags = O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | (0 if self._follow else os.O_NOFOLLOW)
        try:
            return os.open(self.path, flags)
        except OSError as error:
            if not self._follow and error.errno in (errno.ELOOP, errno.ENOTDIR) and self.path.is_symlink():
                raise Untrusted(self.path, "it is a link, which is not followed") from None
            raise


@dataclass(frozen=True)
class File:
    """A name below a folder, which need not exist. With "" it is the folder itself."""

    folder: Folder
    name_below: str  # parts joined by "/"

    @property
    def path(self) -> Path:
        """For people and for programs that only read; whoever opens it follows links."""
        return self.folder.path / self.name_below

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def suffix(self) -> str:
        return self.path.suffix

    @property
    def parent(self) -> File:
        above = str(PurePosixPath(self.name_below).parent)
        return File(self.folder, "" if above == "." else above)

    def with_name(self, name: str) -> File:
        return self.parent / name

    def __truediv__(self, name: str) -> File:
        return File(self.folder, f"{self.name_below}/{name}" if self.name_below else name)

    def __str__(self) -> str:
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    # ---- what is there -------------------------------------------------------------------------------------------

    def info(self) -> os.stat_result | None:
        """Of what has this name, a link itself and not its target; None where nothing has it or can be asked."""
        try:
            with self._parent() as (parent, last):
                # a folder that may not be searched has no "." for us, yet can be asked itself
                return os.fstat(parent) if last == "." else os.stat(last, dir_fd=parent, follow_symlinks=False)
        except OSError:
            return None

    @property
    def is_there(self) -> bool:
        """Does anything have this name, be it a link to nowhere?"""
        return self.info() is not None

    @property
    def is_regular(self) -> bool:
        found = self.info()
        return found is not None and stat.S_ISREG(found.st_mode)

    @property
    def is_folder(self) -> bool:
        found = self.info()
        return found is not None and stat.S_ISDIR(found.st_mode)

    @property
    def size(self) -> int:
        """Bytes; 0 where there is nothing."""
        found = self.info()
        return found.st_size if found is not None else 0

    def names(self) -> list[str]:
        """What a folder holds, in order; nothing where it is none. Raises OSError for one that cannot be listed."""
        try:
            with self._listed() as entries:
                return sorted(entry.name for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def walk(self) -> Iterator[tuple[File, os.stat_result]]:
        """Everything below a folder, folders before what is in them; no link is followed. Raises OSError."""
        with self._listed() as entries:
            here = []
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                    here.append((self / entry.name, entry.stat(follow_symlinks=False)))
        for below, found in sorted(here, key=lambda one: one[0].name_below):
            yield below, found
            if stat.S_ISDIR(found.st_mode):
                yield from below.walk()

    # ---- reading -------------------------------------------------------------------------------------------------

    def reading(self) -> BinaryIO:
        """Open a regular file to read it; never waits, as a pipe under its name would make it. Raises OSError."""
        return os.fdopen(self._regular(os.O_RDONLY), "rb")

    def content(self, limit: int = READ_LIMIT) -> bytes:
        """All of it. Raises OSError, for more than `limit` bytes too."""
        with self.reading() as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(self))
        return content

    def read_end(self, limit: int) -> bytes:
        """At most the last `limit` bytes. Raises OSError."""
        with self.reading() as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            return file.read(limit)

    # ---- writing -------------------------------------------------------------------------------------------------

    def updating(self) -> BinaryIO:
        """Open an existing file of ours to read and change it. Raises OSError."""
        return os.fdopen(self.descriptor(os.O_RDWR), "rb+")

    def descriptor(self, flags: int, mode: int = 0o666) -> int:
        """Open a file of ours by `os.open`'s flags; with O_CREAT it is made. Never truncates. Raises OSError."""
        descriptor = self._regular(flags & ~os.O_TRUNC, mode)
        try:
            self._refuse_untrusted(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @contextmanager
    def replacing(self, *, durable: bool = True, private: bool = False, mode: int | None = None) -> Iterator[BinaryIO]:
        """A temporary file next to it to write to; it takes this name when the block ends well.

        `durable` also flushes file and folder to the disk, so that a power cut leaves the old file or the new one;
        `private` is for its owner alone; `mode` is exactly that mode. When the block raises, nothing is left but what
        stood there before. Raises OSError.
        """
        with self._parent() as (parent, last):
            temporary = f".{self.path.stem[:60]}.{random_word()}{self.suffix}"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
            descriptor = os.open(temporary, flags | NONBLOCKING, 0o600 if private else 0o666, dir_fd=parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    yield cast(BinaryIO, file)
                    file.flush()
                    if mode is not None:
                        set_mode(file.fileno(), mode)
                    if durable:
                        flush(file.fileno())
                try:
                    replace(parent, temporary, parent, last)
                except OSError as error:  # of this file, whatever it was called meanwhile
                    raise OSError(error.errno, error.strerror, str(self)) from None
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=parent)
                raise
            if durable:
                flush_folder(parent)

    @contextmanager
    def replacing_text(self, *, durable: bool = True) -> Iterator[TextIO]:
        """As `replacing`, for UTF-8 text whose line ends stay as they are written."""
        with self.replacing(durable=durable) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
            yield text
            text.flush()
            text.detach()

    def write(
        self, content: str | bytes, *, durable: bool = True, private: bool = False, mode: int | None = None
    ) -> None:
        """Write all of it in one step. Raises OSError."""
        data = content.encode() if isinstance(content, str) else content
        with self.replacing(durable=durable, private=private, mode=mode) as file:
            file.write(data)

    def create(self, data: bytes) -> None:
        """Write a new file, all of it or nothing. Raises FileExistsError where the name is taken, and OSError."""
        descriptor = self.descriptor(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            append_all(descriptor, data)
        except BaseException:
            self.delete()
            raise
        finally:
            os.close(descriptor)

    def append(self, data: bytes, *, durable: bool = False) -> None:
        """Add to the end of an existing file of ours, all of it or nothing. Raises OSError."""
        descriptor = self.descriptor(os.O_WRONLY | os.O_APPEND)
        try:
            append_all(descriptor, data)
            if durable:
                flush(descriptor)
        finally:
            os.close(descriptor)

    def extend_to(self, content: bytes, *, durable: bool = True) -> None:
        """Make it hold this. What holds its beginning is appended to, so that who follows it sees the rest; whatever
        else is there is replaced. Raises OSError."""
        try:
            found = self.content(limit=len(content))
        except OSError:  # not there, longer, or no regular file
            found = None
        if found is not None and content.startswith(found):
            self.append(content[len(found) :], durable=durable)
        else:
            self.write(content, durable=durable)

    # ---- names ---------------------------------------------------------------------------------------------------

    def delete(self) -> None:
        """Remove the name of a file or link, if it is there. Raises OSError."""
        with contextlib.suppress(FileNotFoundError), self._parent() as (parent, last):
            os.unlink(last, dir_fd=parent)

    def delete_tree(self) -> None:
        """Remove a folder and all that is in it; links in it are removed, not followed. Raises OSError."""
        with self._parent() as (parent, last):
            shutil.rmtree(last, dir_fd=parent)

    def move(self, to: File) -> None:
        """Rename it; a file that has the other name is replaced. Raises OSError."""
        with self._parent() as (source, old), to._parent() as (target, new):
            replace(source, old, target, new)

    def make_folder(self, *, exist_ok: bool = False) -> None:
        """Raises FileExistsError, also for a link of this name, and OSError."""
        with self._parent() as (parent, last):
            try:
                os.mkdir(last, dir_fd=parent)
            except FileExistsError:
                if not (exist_ok and self.is_folder):
                    raise

    def make_temporary(self) -> File:
        """A new folder next to this one, of a name that `sweep` knows. Raises OSError."""
        folder = self.with_name(f".{self.name[:60]}.{random_word()}")
        folder.make_folder()
        return folder

    def open_folder(self) -> int:
        """The descriptor of a folder, to lock it. Raises OSError."""
        with self.folder.opened() as root:
            return open_below(self.folder.path, root, self.name_below or ".", os.O_RDONLY | os.O_DIRECTORY)

    def put_aside(self) -> File:
        """Rename what is in the way to `NAME.aside`; nothing is overwritten. Raises OSError."""
        names = (f"{self.name}.aside{number}" for number in chain([""], count(2)))
        aside = next(other for name in names if not (other := self.with_name(name)).is_there)
        self.move(aside)
        return aside

    def sweep(self) -> list[str]:
        """Remove what killed writers of `replacing` left in this folder; the names. Raises OSError.

        Only for who alone writes there: a temporary file of a living writer looks the same.
        """
        left = self.leftovers()
        for entry in left:
            entry.delete_tree() if entry.is_folder else entry.delete()
        return [entry.name for entry in left]

    def leftovers(self) -> list[File]:
        """What killed writers of `replacing` left in this folder, or living ones are at. Raises OSError."""
        return [self / name for name in self.names() if _TEMPORARY.fullmatch(name)]

    @contextmanager
    def temporary_folder(self) -> Iterator[str]:
        """A folder in this one, gone after the block: a path, for libraries that take nothing else. Raises OSError."""
        folder = (self / self.name).make_temporary()
        try:
            with folder._parent() as (parent, last):
                by_descriptor = f"/proc/self/fd/{parent}/{last}"  # wherever this folder is moved meanwhile
                yield by_descriptor if os.path.lexists(by_descriptor) else str(folder)
        finally:
            with contextlib.suppress(OSError):
                folder.delete_tree()

    # ---- descriptors ---------------------------------------------------------------------------------------------

    @contextmanager
    def _parent(self) -> Iterator[tuple[int, str]]:
        """The descriptor of the folder that holds this name, and the last part of the name. Raises OSError."""
        above, _, last = self.name_below.rpartition("/")
        with self.folder.opened() as root:
            if not last:
                yield root, "."
            elif not above:
                yield root, last
            else:
                descriptor = open_below(self.folder.path, root, above, O_PATH | os.O_DIRECTORY)
                try:
                    yield descriptor, last
                finally:
                    os.close(descriptor)

    @contextmanager
    def _listed(self) -> Iterator[Iterator[os.DirEntry[str]]]:
        with self.folder.opened() as root:
            descriptor = open_below(self.folder.path, root, self.name_below or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(descriptor) as entries:
                yield entries
        finally:
            os.close(descriptor)

    def _regular(self, flags: int, mode: int = 0o666) -> int:
        with self.folder.opened() as root:
            descriptor = open_below(self.folder.path, root, self.name_below or ".", flags, mode)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise Untrusted(self, f"it is {kind_of(found)}, not a regular file", errno.EINVAL)
        return descriptor

    def _refuse_untrusted(self, descriptor: int) -> None:
        """Raises Untrusted for an open file that has a second name, or another owner than ours."""
        found = os.fstat(descriptor)
        if found.st_nlink > 1:
            raise Untrusted(self, f"the file has {found.st_nlink} hard links")
        with self._parent() as (parent, _):
            if not (is_owner_of_ours(found, parent) or found.st_uid == owner_that_new_files_get(parent)):
                raise Untrusted(self, f"it belongs to {user_name(found.st_uid)}, not to you", errno.EPERM)


FileOrPath = File | Path


def file_at(path: FileOrPath) -> File:
    """The file at a path that a user or a program names: links above its last part are followed, it itself is none."""
    return path if isinstance(path, File) else Folder(path.parent).file(path.name)


def named_by_user(path: Path) -> File:
    """A file that the user chose, such as a recipe or the settings, to be read wherever links lead. Raises OSError."""
    return file_at(Path(os.path.realpath(path)))
