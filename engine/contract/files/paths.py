"""What is at a path from a user, a variable or a default: one check that never raises and reports why it found nothing.

`Path.is_file` and the like raise for a folder that may not be searched, a server that is gone, a name that is too long;
`Path.cwd` and `resolve` for a current folder that was removed. Callers that search for a file ask here, and skip a
location with the reason.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from engine.contract.files.owners import user_name
from engine.contract.sentences import Paths
from engine.contract.wire.errors import UsageError

_REASONS = {
    errno.ELOOP: "symbolic links form a loop there",
    errno.ENOTCONN: "the file system there does not respond (lost mount?)",
    errno.ESTALE: "the file handle there is stale (mount the file system again)",
    errno.EHOSTDOWN: "its file server does not respond",
    errno.EIO: "the disk reports an error",
}


@dataclass(frozen=True)
class PathStatus:
    """What a path refers to."""

    mode: int | None = None  # None: nothing that could be seen
    trouble: str = ""  # why nothing could be seen; "" where there simply is nothing

    @property
    def is_file(self) -> bool:
        return self.mode is not None and stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        return self.mode is not None and stat.S_ISDIR(self.mode)

    @property
    def is_there(self) -> bool:
        return self.mode is not None

    @property
    def why(self) -> str:
        """`: you may not enter /root, which belongs to root`, for the end of a sentence; or ""."""
        return f": {self.trouble}" if self.trouble else ""


def path_status(path: str | os.PathLike[str]) -> PathStatus:
    """What has this name, links followed. Never raises."""
    try:
        return PathStatus(os.stat(path).st_mode)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return PathStatus(trouble=_link_to_nothing(path))
    except PermissionError as error:
        return PathStatus(trouble=_closed_folder(path) or str(error.strerror))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # nothing can have such a name
            return PathStatus()
        return PathStatus(trouble=_REASONS.get(error.errno or 0, str(error.strerror)))
    except ValueError:  # a NUL, nor such a one
        return PathStatus()


def is_file(path: str | os.PathLike[str]) -> bool:
    return path_status(path).is_file


def is_folder(path: str | os.PathLike[str]) -> bool:
    return path_status(path).is_folder


def place_of(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Which file or folder has this name now, links followed; moved, it is still that one. None: none can be seen."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def is_there(path: str | os.PathLike[str]) -> bool:
    return path_status(path).is_there


def is_link(path: str | os.PathLike[str]) -> bool:
    return os.path.islink(path)  # noqa: PTH114 - this one does not raise


def expanded(path: str | os.PathLike[str]) -> Path:
    """With `~` and `~ada` replaced by that user's home; unchanged where there is none. Never raises."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def has_no_home(path: str | os.PathLike[str]) -> bool:
    """Does a path begin with the home of a user who has none here? It would be a folder named `~` below this one."""
    return os.fspath(expanded(path))[:1] == "~"


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path from the root, links followed as far as they can be. Raises UsageError where it is relative to a
    current folder that is gone."""
    try:
        return Path(os.path.realpath(path))
    except OSError:
        raise _no_current_folder() from None


def current_folder() -> Path:
    """Raises UsageError where it was removed."""
    try:
        return Path(os.getcwd())  # noqa: PTH109
    except OSError:
        raise _no_current_folder() from None


def caller_folder() -> str | None:
    """The current folder; None where it was removed, or has a name that no message could hold."""
    try:
        folder = os.getcwd()  # noqa: PTH109
        folder.encode()
    except (OSError, UnicodeEncodeError):
        return None
    return folder


def _no_current_folder() -> UsageError:
    return UsageError(Paths.NO_CURRENT_FOLDER)


def _link_to_nothing(path: str | os.PathLike[str]) -> str:
    """Of the path and the folders above it, the link that leads to what is not there; "" where there is none."""
    for above in (Path(path), *Path(path).parents):
        if is_link(above):
            try:
                target = os.readlink(above)  # noqa: PTH115
                os.stat(above)  # noqa: PTH116
            except (FileNotFoundError, NotADirectoryError):
                return f"{above} is a link to {target}, which does not exist (unmounted, purged?)"
            except OSError:
                return ""
    return ""


def _closed_folder(path: str | os.PathLike[str]) -> str:
    """The folder above a path that may not be entered, and its owner; "" where that is unknown."""
    for above in reversed(Path(os.path.abspath(path)).parents):  # noqa: PTH100
        try:
            found = os.stat(above)  # noqa: PTH116
        except OSError:
            return ""
        if not os.access(above, os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            owner = f", which belongs to {user_name(found.st_uid)}" if found.st_uid != os.geteuid() else ""
            return f"you may not enter {above}{owner}"
    return ""
