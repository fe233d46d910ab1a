"""`medtui report`: rebuild the artifacts of a finished run from its folder."""

from __future__ import annotations

from typing import Annotated

import typer

from medtui.cli.options import DataOption, JsonOption, OfflineOption, RunArgument, WorkspaceOption


def report(
    run: RunArgument = "last",
    everything: Annotated[bool, typer.Option("--all", help="Rebuild all artifacts, not only missing ones.")] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Build the missing tables, workbook and figures of a run."""
    from engine.contract.files.paths import absolute
    from engine.contract.store.find_run import find_run
    from engine.contract.store.run_directory import refuse_untrusted_entries
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.jobs import Report
    from engine.contract.wire.protocol import Alarm, AnyEvent, ArtifactWritten
    from medtui.cli.job_progress import JobProgress
    from medtui.cli.run import data_folders
    from medtui.client.job import CLEANUP, do_job
    from medtui.output import print_error, print_json, print_line
    from medtui.text import clean

    ws = find_workspace(workspace)
    found = find_run(ws.outputs, run)
    refuse_untrusted_entries(found, "reported")  # the engine checks again; this check needs no engine
    written: dict[str, str] = {}

    def on_event(event: AnyEvent) -> None:
        progress(event)
        if isinstance(event, ArtifactWritten):
            written[event.name] = str(found.root / event.path)
        elif isinstance(event, Alarm):
            print_error(f"medtui: {clean(event.message, 500)}")

    start = Report(
        id="start",
        by="medtui report",
        run=str(absolute(found.root)),
        everything=everything,
        data=data_folders(data),
        offline=offline,
    )
    with JobProgress(quiet=json, on_stderr=True) as progress:
        do_job(start, ws, on_event=on_event, grace=CLEANUP)
    if json:
        print_json({"run": found.name, "artifacts": written})
        return
    for path in written.values():
        print_line(path)
    if not written:
        print_line(f"Nothing is missing in {found.name}; --all rebuilds everything.")
