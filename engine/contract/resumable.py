"""May a run go on? What both sides can say of it without torch."""

from __future__ import annotations

from typing import Any

from engine.contract.errors import UsageError
from engine.contract.journal import journal_summary
from engine.contract.run_directory import RunDirectory, read_object
from engine.contract.workspace import Workspace


def check_resumable(run: RunDirectory, workspace: Workspace) -> dict[str, Any]:
    """The manifest of a run that may go on here. Raises UsageError for one that may not."""
    if run.root.resolve().parent != workspace.outputs.resolve():
        raise UsageError(
            f"Expected a run in {workspace.outputs}, found {run.root}.",
            "Give the --workspace whose outputs/ it lies in.",
        )
    manifest = read_object(run.manifest)
    if manifest is None:
        raise UsageError(f"Expected a run to resume, found no manifest.json that can be read in {run.root}.")
    summary = journal_summary(run.journal)
    if summary.outcome == "completed":
        raise UsageError(
            f"{run.name} is completed: there is nothing to resume.",
            "`medtui show` has its results; a new run of its recipe gets a directory of its own.",
        )
    return manifest


def texts_of(value: Any) -> list[str]:
    """The texts in a list of a manifest, which is anybody's file."""
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
