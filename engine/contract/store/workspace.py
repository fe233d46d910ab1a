"""Where a user works: the folder that holds `outputs/`, `dataset/` and the lock."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from engine.contract.files.file_system import remedy_for_writing
from engine.contract.files.folders import File, Folder
from engine.contract.files.inspection import describe_owner
from engine.contract.files.owners import user_name
from engine.contract.files.paths import absolute, current_folder, expanded, path_status
from engine.contract.files.probes import probe_writing
from engine.contract.machine.engines import LOCK_FILE, SLOT_LOCK
from engine.contract.sentences import Paths, RunsFolder, Workspaces
from engine.contract.store.lock import CONTROL_FILE, locks_of
from engine.contract.store.run_directory import ARCHIVE, MLFLOW, SUITES, WANDB, is_run, refuse_link_to_nothing
from engine.contract.wire.errors import OutputError, UsageError

MARKERS = (".git", "README.md")
_OF_OURS = {LOCK_FILE, CONTROL_FILE, ARCHIVE, SUITES, MLFLOW, WANDB, ".gitkeep"}  # what `outputs/` holds besides runs


@dataclass(frozen=True)
class Workspace:
    root: Path

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def archive(self) -> Path:
        """The folder of archived runs."""
        return self.outputs / ARCHIVE

    @property
    def folder(self) -> Folder:
        """`outputs/`, which may be a link of the user's own to another disk."""
        return Folder(self.outputs)

    @property
    def lock_file(self) -> File:
        return self.folder.file(LOCK_FILE)

    @property
    def locks(self) -> list[File]:
        """The lock, and those of the slots that a suite or queue gives."""
        return locks_of(self.folder)

    @property
    def control_file(self) -> File:
        """Commands to an engine that holds the lock and has no run yet."""
        return self.folder.file(CONTROL_FILE)

    def make_outputs(self) -> Path:
        """`outputs/`, made when it is missing and shown to be writable. Raises OutputError."""
        self.refuse_untrusted_link()
        try:
            self.outputs.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise OutputError(RunsFolder.NOT_A_FOLDER, folder=self.outputs) from None
        except OSError as error:
            reason, remedy = error.strerror, remedy_for_writing(error)
            raise OutputError(RunsFolder.NOT_CREATED, folder=self.outputs, reason=reason, remedy=remedy) from None
        try:
            probe_writing(self.outputs)
        except OSError as error:
            raise OutputError(
                RunsFolder.NOT_WRITABLE,
                folder=self.outputs,
                owner=describe_owner(self.folder.itself),
                reason=error.strerror,
                remedy=remedy_for_writing(error),
            ) from None
        return self.outputs

    def refuse_untrusted_link(self) -> None:
        """`outputs/` may be a link to another disk, such as scratch space, but not to a folder of other things.

        For who writes there. Raises OutputError.
        """
        try:
            link = self.outputs.lstat()
        except OSError:
            return
        if not stat.S_ISLNK(link.st_mode):
            return
        target = self.outputs.readlink()
        if not _is_trusted(link):
            owner = user_name(link.st_uid)
            raise OutputError(RunsFolder.LINK_OF_OTHER_USER, folder=self.outputs, target=target, owner=owner)
        refuse_link_to_nothing(self.outputs)
        try:
            names = self.folder.itself.names()
        except OSError as error:
            reason = error.strerror
            raise OutputError(RunsFolder.LINK_BROKEN, folder=self.outputs, target=target, reason=reason) from None
        if LOCK_FILE not in names:
            other = [name for name in names if not _is_ours(name) and not is_run(self.outputs / name)]
            if other:
                raise OutputError(RunsFolder.LINK_TO_OTHER_FILES, folder=self.outputs, target=target, found=other[0])


def _is_ours(name: str) -> bool:
    return name in _OF_OURS or SLOT_LOCK.fullmatch(name.replace(".control.jsonl", ".lock")) is not None


def readable_path(path: Path) -> None:
    """Raises UsageError for a path that is no UTF-8: it could not be written in messages and events."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise UsageError(Paths.NOT_UTF8, found=shown) from None


def find_workspace(given: Path | None = None, start: Path | None = None) -> Workspace:
    """`given`; else `/app` in the container; else the nearest folder upward of `start` with a marker; else `start`.

    A marker counts only where it and its folder belong to the user or to root: in a folder that others may write,
    anybody could plant one. Raises UsageError when `given` is no folder.
    """
    if given is not None:
        given = expanded(given)
        readable_path(given)
        if not (there := path_status(given)).is_folder:
            raise UsageError(Workspaces.NOT_FOUND, folder=given, why=there.why)
        if inside := path_status(given / "outputs").trouble if not os.access(given, os.X_OK) else "":
            raise UsageError(Workspaces.UNUSABLE, folder=given, reason=inside)
        return Workspace(absolute(given))
    if os.environ.get("IN_DOCKER", "").upper() == "TRUE":
        return Workspace(Path("/app"))
    here = absolute(start or current_folder())
    readable_path(here)
    for folder in (here, *here.parents):
        if any(_is_trusted_marker(folder, marker) for marker in MARKERS):
            return Workspace(folder)
    return Workspace(here)


def distrusted_marker(start: Path | None = None) -> Path | None:
    """The nearest marker upward that does not count, to explain why; None where there is none."""
    here = absolute(start or current_folder())
    for folder in (here, *here.parents):
        for marker in MARKERS:
            if _is_trusted_marker(folder, marker):
                return None
            if os.path.lexists(folder / marker):
                return folder / marker
    return None


def _is_trusted_marker(folder: Path, marker: str) -> bool:
    try:
        return _is_trusted((folder / marker).lstat()) and _is_trusted(folder.stat())
    except OSError:
        return False


def _is_trusted(found: os.stat_result) -> bool:
    """Of the user or of root; under sudo, of the user who called it, as git has it."""
    mine = {os.geteuid(), 0}
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isdecimal():
        mine.add(int(caller))
    return found.st_uid in mine
