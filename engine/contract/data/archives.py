"""Official data set files: where they are searched for, where a fetched one goes, and from where it is fetched.

The user decides by three variables: `MEDTUI_DATA` is a folder of theirs, `MEDTUI_OFFLINE=1` forbids fetching, and
`MEDTUI_MIRROR` is an address that has the official files by their names, for machines that do not reach the internet.
"""

from __future__ import annotations

import errno
import os
import stat
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from engine.contract.data.datasets import Archive
from engine.contract.files.paths import absolute, expanded, has_no_home, is_file, path_status
from engine.contract.sentences import DataFolders
from engine.contract.wire.errors import DataError, UsageError

FOLDER = "~/.medmnist"  # the `medmnist` package's own, so a file that either fetched serves both
SCHEMES = ("http", "https")
PART_SUFFIX = ".part"  # of a file that is being fetched, or was cut: `.breastmnist.npz.750601b1.part`


def data_folders(given: Sequence[str], root: Path) -> list[Path]:
    """Where files are searched for, first to last. `given`: by `--data`; `root`: the workspace's."""
    environment = os.environ.get("MEDTUI_DATA")
    own = [*given, environment] if environment else [*given]
    candidates = [*map(Path, own), root / "dataset", Path(FOLDER)]
    return [found for folder in candidates if (found := _expand_home(folder)) is not None]


def given_folder(folder: Path) -> Path:
    """What `--data` names, from the root. Raises UsageError where it is no folder."""
    folder = expanded(folder)
    if not (there := path_status(folder)).is_folder:
        raise UsageError(DataFolders.NO_FOLDER, folder=folder, why=there.why)
    return absolute(folder)


def fetch_folder(given: Sequence[str]) -> Path:
    """Where a fetched file goes: `--data`, else `$MEDTUI_DATA`, else `~/.medmnist`. Raises DataError."""
    folder = Path(given[0] if given else os.environ.get("MEDTUI_DATA") or FOLDER)
    found = _expand_home(folder)
    if found is None:
        raise DataError(DataFolders.NO_HOME, folder=folder)
    return found


def find_file(archive: Archive, folders: Sequence[Path]) -> Path | None:
    """The first folder's that has it."""
    return next((path for folder in folders if is_file(path := folder / archive.file_name)), None)


def unreadable_folders(folders: Sequence[Path], file_name: str = "") -> dict[Path, str]:
    """The folders that could not be read, each with the reason; for one file also where it is a broken link."""
    found = {folder: path_status(folder / file_name).trouble for folder in folders}
    return {folder: reason for folder, reason in found.items() if reason}


def open_data_file(path: Path) -> FileIO:
    """Open a data file, links followed; never waits, as a pipe under its name would make it. Raises OSError.

    What is no file on a disk is refused by what it is: a pipe, a device, a pseudo-file of the kernel, which may have
    no end (its size is then 0, or more than any memory).
    """
    refuse_irregular_file(path, path.stat())  # before it is opened: to open a device may do something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        refuse_irregular_file(path, os.fstat(descriptor))
        return FileIO(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def refuse_irregular_file(path: Path, found: os.stat_result) -> None:
    """Raises OSError with what `path` is, unless it is a file on a disk with something in it."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    what = kinds.get(stat.S_IFMT(found.st_mode))
    if what is None and found.st_dev in _kernel_devices():
        what = "a pseudo-file of the kernel"
    elif what is None and found.st_size == 0:
        what = "empty"
    if what is not None:
        raise OSError(errno.EINVAL, f"it is {what}", str(path))


def _kernel_devices() -> set[int]:
    """The device numbers of the kernel's own file systems, whose files have no content but what it makes up."""
    found = set()
    for folder in ("/proc", "/sys"):
        try:
            found.add(Path(folder).stat().st_dev)
        except OSError:
            continue
    return found - {Path("/").stat().st_dev}


def offline() -> bool:
    """Does `MEDTUI_OFFLINE` forbid fetching?"""
    return os.environ.get("MEDTUI_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


@dataclass(frozen=True)
class Address:
    """Where a file is fetched from. Its text shows no secret: no user, no password, nothing of a query."""

    url: str = field(repr=False)  # without user and password
    authorization: str | None = field(default=None, repr=False)  # the header that has them

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        path = parts.path if "@" not in parts.path else f"/…/{parts.path.rpartition('/')[2]}"
        return f"{parts.scheme}://{parts.netloc}{path}"


def address(url: str, file_name: str) -> Address:
    """Where a file is fetched from: its official address, or its name at `$MEDTUI_MIRROR`. Raises UsageError.

    A mirror may have a user and a password, percent-encoded, and a query, such as a token.
    """
    mirror = os.environ.get("MEDTUI_MIRROR", "").strip()
    if not mirror:
        return Address(url)
    try:
        parts = urlsplit(mirror)
        host, port = parts.hostname or "", parts.port  # a port that is no number raises
    except ValueError:
        raise _invalid_mirror("one that cannot be parsed") from None
    if parts.scheme not in SCHEMES or not host or not mirror.isprintable():
        raise _invalid_mirror(f"the scheme {parts.scheme!r}" if "://" in mirror and host else "something else")
    name = f"[{host}]" if ":" in host else host
    netloc = name if port is None else f"{name}:{port}"
    plain = urlunsplit((parts.scheme, netloc, f"{parts.path.rstrip('/')}/{file_name}", parts.query, ""))
    if parts.username is None:
        return Address(plain)
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Address(plain, f"Basic {b64encode(login.encode()).decode()}")


def _invalid_mirror(found: str) -> UsageError:
    """Does not quote the text itself: it may hold a password."""
    return UsageError(DataFolders.MIRROR, found=found)


def _expand_home(folder: Path) -> Path | None:
    return None if has_no_home(folder) else expanded(folder)
