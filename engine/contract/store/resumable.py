"""May a run be resumed? As far as both sides can tell without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.contract.files.paths import absolute
from engine.contract.sentences import Runs
from engine.contract.store.run_directory import RunDirectory, attempts_of, refuse_untrusted_entries
from engine.contract.store.run_record import read_run
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import UsageError


def check_resumable(run: RunDirectory, workspace: Workspace) -> dict[str, Any]:
    """The manifest of a run that may be resumed here. Raises UsageError for one that may not."""
    if absolute(run.root).parent != absolute(workspace.outputs):
        raise UsageError(Runs.OF_OTHER_WORKSPACE, folder=workspace.outputs, found=run.root)
    refuse_untrusted_entries(run, "resumed")
    record = read_run(run)
    if record.outcome == "completed":
        raise UsageError(Runs.COMPLETED, run=run.name)
    return record.manifest or {}


def data_folders_of(manifest: dict[str, Any]) -> tuple[Path, ...]:
    """The data folders that a run was given, and where it found its data; searched after the usual folders."""
    given = [folder for attempt in attempts_of(manifest) for folder in texts_of(attempt.get("data_folders"))]
    data = manifest.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    found = [Path(source).parent] if isinstance(source, str) else []
    return tuple(folder for folder in (*map(Path, given), *found) if folder.is_absolute())


def texts_of(value: Any) -> list[str]:
    """The texts in a list of a manifest, which is untrusted."""
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
