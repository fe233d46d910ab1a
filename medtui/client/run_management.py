"""Manage a run that is over: archive, delete."""

from __future__ import annotations

import stat
from pathlib import Path

from engine.contract.files.folders import File
from engine.contract.files.paths import absolute, is_link
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import ARCHIVE, RunDirectory, refuse_untrusted_entries
from engine.contract.store.run_record import read_run
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import OutputError, UsageError
from medtui.sentences import Management


def refuse_foreign(run: RunDirectory, workspace: Workspace) -> None:
    """Raises UsageError for what is no run in this workspace's `outputs/`: nothing else is changed from here."""
    folder, archive = absolute(run.root.parent), workspace.archive
    here = folder == absolute(workspace.outputs) or (folder == absolute(archive) and not is_link(archive))
    if not here or is_link(run.root) or folder / run.name == absolute(archive):
        raise UsageError(Management.NOT_HERE, path=workspace.outputs, found=run.root)


def archive(run: RunDirectory, workspace: Workspace) -> Path:
    """Move it to `outputs/archive/`, where it is not listed. Raises UsageError or OutputError."""
    refuse_foreign(run, workspace)
    refuse_living(run, workspace)
    refuse_untrusted_entries(run, "archived")
    return _moved(run, workspace, ARCHIVE)


def unarchive(run: RunDirectory, workspace: Workspace) -> Path:
    """Move an archived run back to `outputs/`. Raises UsageError or OutputError."""
    if absolute(run.root.parent) != absolute(workspace.archive):
        raise UsageError(Management.NOT_ARCHIVED, path=run.root)
    refuse_foreign(run, workspace)
    refuse_untrusted_entries(run, "moved")
    return _moved(run, workspace, "")


def _moved(run: RunDirectory, workspace: Workspace, to: str) -> Path:
    """To a folder below `outputs/`, or to `outputs/` itself."""
    outputs = workspace.folder
    target = outputs.file(f"{to}/{run.name}" if to else run.name)
    try:
        if to:
            _make_folder(outputs.file(to))
        if target.is_there:
            raise UsageError(Management.TARGET_EXISTS, path=target)
        _in_outputs(run, workspace).move(target)
    except OSError as error:
        raise OutputError(Management.MOVE_FAILED, run=run.name, path=target, reason=error.strerror) from None
    return target.path


def _make_folder(folder: File) -> None:
    try:
        folder.make_folder(exist_ok=True)
    except FileExistsError:
        raise OutputError(Management.NOT_A_FOLDER, path=folder) from None


def _in_outputs(run: RunDirectory, workspace: Workspace) -> File:
    """A run of this workspace, archived or not, as a name below `outputs/`."""
    archived = absolute(run.root.parent) == absolute(workspace.archive)
    return workspace.folder.file(f"{ARCHIVE}/{run.name}" if archived else run.name)


def delete(run: RunDirectory, workspace: Workspace) -> None:
    """Remove it and all that is in it, permanently. Raises UsageError or OutputError."""
    refuse_foreign(run, workspace)
    refuse_living(run, workspace)
    refuse_untrusted_entries(run, "deleted")
    entry = _in_outputs(run, workspace)
    going = entry.with_name(f".deleting-{run.name}")  # gone from every list at once, also if this is interrupted
    try:
        entry.move(going)
        going.delete_tree()
    except OSError as error:
        raise OutputError(Management.DELETE_FAILED, path=run.root, reason=error.strerror) from None


def refuse_living(run: RunDirectory, workspace: Workspace) -> None:
    """Raises UsageError for a run that is training, or may be."""
    lock, record = LockState.read(workspace.lock_file), read_run(run)
    if lock.run == run.name:
        raise UsageError(Management.HOLDS_WORKSPACE, run=run.name, lock=lock)
    if record.engine is not None and record.outcome is None:
        raise UsageError(Management.RUNNING if record.alive else Management.MAY_RUN, run=run.name)


def size_of(run: RunDirectory) -> int:
    """Bytes of its files."""
    return sum(found.st_size for _, found in run.folder.itself.walk() if not stat.S_ISDIR(found.st_mode))
