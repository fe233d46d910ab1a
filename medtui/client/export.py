"""Export a run's model in a separate engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from engine.contract.files.folders import Folder
from engine.contract.files.paths import absolute
from engine.contract.store.run_directory import RunDirectory, read_object, refuse_untrusted_entries
from engine.contract.store.workspace import Workspace
from engine.contract.wire.jobs import Export
from engine.contract.wire.protocol import AnyEvent
from medtui.client.job import CLEANUP, do_job

Format = Literal["onnx", "torch"]


def export_run(
    run: RunDirectory,
    workspace: Workspace,
    data: list[str],
    output: Path,
    *,
    formats: Sequence[Format],
    int8: bool,
    replace: bool,
    by: str,
    offline: bool = False,
    on_event: Callable[[AnyEvent], None] = lambda event: None,
) -> dict[str, Any]:
    """How far each file is from PyTorch, and its metrics, by its name. Raises the error that the job ended with."""
    refuse_untrusted_entries(run, "exported")  # the engine checks again; this check needs no engine
    start = Export(
        id="start",
        by=by,
        run=str(absolute(run.root)),
        output=str(output),
        formats=list(formats),
        int8=int8,
        replace=replace,
        data=data,
        offline=offline,
    )
    do_job(start, workspace, on_event=on_event, grace=CLEANUP)
    return read_object(Folder(output).file("check.json")) or {}
