"""Resuming a run, from the command line and from the console."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Literal

from engine.contract.store.resumable import check_resumable, texts_of
from engine.contract.store.run_directory import RunDirectory, attempts_of
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Train


def resume_command(
    run: RunDirectory,
    workspace: Workspace,
    *,
    by: str,
    data: Sequence[str] = (),
    recipe: dict[str, Any] | None = None,
    on_disconnect: Literal["continue", "stop"] = "continue",
    allow_drift: bool = False,
    command_line: Sequence[str] = (),
) -> Train:
    """The `start` command that resumes a run. Raises UsageError for one that cannot be resumed.

    Without `recipe` the run's own; without `data` the folders that its newest attempt was given.
    """
    attempts = attempts_of(check_resumable(run, workspace))
    given = texts_of(attempts[-1].get("data_folders")) if attempts else []
    return Train(
        id=secrets.token_hex(4),
        by=by,
        recipe=recipe or {},
        data=list(data) or given,
        on_disconnect=on_disconnect,
        command_line=list(command_line),
        resume=str(run.root),
        allow_drift=allow_drift,
    )


def workspace_of(run: RunDirectory, workspace: Workspace) -> Workspace:
    """The workspace whose `outputs/` a run lies in; `workspace` where it lies in none."""
    parent = run.root.parent
    return Workspace(parent.parent) if parent.name == workspace.outputs.name else workspace
