"""`medtui evaluate`: evaluate a run's test split again, from its saved weights."""

from __future__ import annotations

from typing import Annotated

import typer

from medtui.cli.options import DataOption, JsonOption, OfflineOption, RunArgument, WorkspaceOption


def evaluate(
    run: RunArgument = "last",
    no_tta: Annotated[bool, typer.Option("--no-tta", help="Evaluate without test-time augmentation.")] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Evaluate a run again; results go to its evaluations/ folder."""
    from engine.contract.store.find_run import find_run
    from engine.contract.store.workspace import find_workspace
    from medtui.cli.job_progress import JobProgress
    from medtui.cli.run import data_folders
    from medtui.client.evaluate import evaluate_run, later_evaluations
    from medtui.output import print_json, print_line
    from medtui.text import interval, number

    ws = find_workspace(workspace)
    found = find_run(ws.outputs, run)
    tta = False if no_tta else None
    with JobProgress(quiet=json, on_stderr=True) as progress:
        result = evaluate_run(
            found, ws, data_folders(data), tta=tta, by="medtui evaluate", offline=offline, on_event=progress
        )
    folder = later_evaluations(found)[-1].folder
    if json:
        values = {"run": found.name, "dataset": result.dataset, "split": result.split, "n": result.n}
        metrics = {"views": result.views, "auc": result.metrics.auc, "acc": result.metrics.acc}
        metrics |= {"auc_ci95": result.metrics.auc_ci95, "acc_ci95": result.metrics.acc_ci95}
        print_json(values | metrics | {"folder": str(folder)})
        return
    views = f"{len(result.views)} view{'s' * (len(result.views) != 1)}"
    numbers = f"AUC {number(result.metrics.auc)}, ACC {number(result.metrics.acc)}"
    print_line(f"{found.name}, {result.split}, {result.n} images, {views}: {numbers}")
    print_line(f"95 % intervals: AUC {interval(result.metrics.auc_ci95)}, ACC {interval(result.metrics.acc_ci95)}")
    print_line(f"Written to {folder}.")
