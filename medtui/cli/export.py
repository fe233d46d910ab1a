"""`medtui export`: a run's model as ONNX and `torch.export` files, with its card."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from medtui.cli.options import DataOption, JsonOption, OfflineOption, RunArgument, WorkspaceOption, path_named


class Format(StrEnum):
    """What is made besides the bundle."""

    ONNX = "onnx"
    TORCH = "torch"
    BUNDLE = "bundle"


FormatOption = Annotated[
    list[Format] | None,
    typer.Option("--format", help="Make only this format, and the bundle; may be repeated. [default: onnx, torch]"),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FOLDER", parser=path_named, help="Folder to create. [default: model/ in the run]"
    ),
]


def export(
    run: RunArgument = "last",
    output: OutputOption = None,
    format: FormatOption = None,
    int8: Annotated[bool, typer.Option("--int8", help="Also make a quantised ONNX file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the files of an earlier export.")] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Export a run's model: ONNX, torch.export, bundle, model card.

    Each file is checked on the test split against PyTorch in float32, without test-time augmentation.
    ONNX needs the extra medtui[export].
    """
    from engine.contract.files.paths import absolute, expanded
    from engine.contract.store.find_run import find_run
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.job_progress import JobProgress
    from medtui.cli.run import data_folders
    from medtui.client.export import export_run
    from medtui.client.output_file import export_folder
    from medtui.output import print_json, print_line

    ws = find_workspace(workspace)
    found = find_run(ws.outputs, run)
    target = export_folder(expanded(output)) if output is not None else absolute(found.root) / "model"
    chosen = set(format) if format else {Format.ONNX, Format.TORCH}
    with JobProgress(quiet=json, on_stderr=True) as progress:
        checks = export_run(
            found,
            ws,
            data_folders(data),
            target,
            formats=[one for one in ("onnx", "torch") if one in chosen],
            int8=int8,
            replace=force,
            by="medtui export",
            offline=offline,
            on_event=progress,
        )
    if json:
        print_json({"run": found.name, "folder": str(target), "checks": checks})
        return
    for line in _described(checks):
        print_line(line)
    print_line("Metrics without test-time augmentation, in float32: `medtui evaluate` may report others.")
    print_line(f"Written to {target}.")


def _described(checks: dict[str, Any]) -> Iterator[str]:
    """One line per file: its metrics, and how far it is from PyTorch."""
    from engine.contract.wire.protocol import Metrics
    from medtui.text import interval, number

    for name, check in checks.items():
        metrics = Metrics.model_validate(check["metrics"])
        auc, acc = interval(metrics.auc_ci95), interval(metrics.acc_ci95)
        numbers = f"AUC {number(metrics.auc)} ({auc}), ACC {number(metrics.acc)} ({acc})"
        apart = "" if name == "PyTorch" else f", largest difference of a score {check['difference']:.1e}"
        yield f"{name:<16} {numbers}{apart}"
