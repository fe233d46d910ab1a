"""Where a user works: the folder that holds `outputs/`, `dataset/` and the lock."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.contract.errors import OutputError, UsageError
from engine.contract.lock import LOCK_FILE

MARKERS = (".git", "README.md")


@dataclass(frozen=True)
class Workspace:
    root: Path

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def lock_file(self) -> Path:
        return self.outputs / LOCK_FILE

    def make_outputs(self) -> Path:
        """`outputs/`, made when it is missing and shown to be writable. Raises OutputError."""
        try:
            self.outputs.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise OutputError(
                f"Expected a folder for runs at {self.outputs}, found a file.", "Move it away, or give --workspace."
            ) from None
        except OSError as error:
            raise OutputError(
                f"Cannot make the folder for runs at {self.outputs}: {error.strerror}.",
                "Make it writable, or give --workspace.",
            ) from None
        try:
            tempfile.TemporaryFile(dir=self.outputs).close()
        except OSError as error:
            raise OutputError(
                f"Cannot write in the folder for runs, {self.outputs}: {error.strerror}.",
                "Make it writable, or give --workspace.",
            ) from None
        return self.outputs


def readable_path(path: Path) -> None:
    """Raises UsageError for a path that is no UTF-8: it could not be told in messages and events."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise UsageError(f"Expected a path in UTF-8, found {shown}.", "Rename it, or name another.") from None


def find_workspace(given: Path | None = None, start: Path | None = None) -> Workspace:
    """`given`; else `/app` in the container; else the nearest folder upward of `start` with a marker; else `start`.

    Raises UsageError when `given` is no folder.
    """
    if given is not None:
        readable_path(given)
        if not given.is_dir():
            raise UsageError(f"Expected a folder as workspace, found none at {given}.", "Make it, or name another.")
        return Workspace(given.resolve())
    if os.environ.get("IN_DOCKER", "").upper() == "TRUE":
        return Workspace(Path("/app"))
    here = (start or Path.cwd()).resolve()
    readable_path(here)
    for folder in (here, *here.parents):
        if any((folder / marker).exists() for marker in MARKERS):
            return Workspace(folder)
    return Workspace(here)
