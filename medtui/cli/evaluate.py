"""`medtui evaluate`: a run's test split once more, from its saved weights."""

from __future__ import annotations

from typing import Annotated

import typer

from medtui.cli.options import DataOption, JsonOption, OfflineOption, RunArgument, WorkspaceOption


def evaluate(
    run: RunArgument = "last",
    no_tta: Annotated[bool, typer.Option("--no-tta", help="Without test-time augmentation.")] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Evaluate a run again; scores and metrics go to its evaluations/."""
    from engine.contract.run_directory import find_run
    from engine.contract.workspace import find_workspace
    from medtui.cli.run import data_folders
    from medtui.cli.shown import Shown
    from medtui.client.evaluate import evaluate_run, later_evaluations
    from medtui.text import clean, json_text, number

    place = find_workspace(workspace)
    found = find_run(place.outputs, run)
    tta = False if no_tta else None
    with Shown(quiet=json, beside=True) as shown:
        result = evaluate_run(
            found, place, data_folders(data), tta=tta, by="medtui evaluate", offline=offline, tell=shown
        )
    folder = later_evaluations(found)[-1].folder
    if json:
        values = {"run": found.name, "dataset": result.dataset, "split": result.split, "n": result.n}
        metrics = {"views": result.views, "auc": result.metrics.auc, "acc": result.metrics.acc}
        typer.echo(json_text(values | metrics | {"folder": str(folder)}))
        return
    views = f"{len(result.views)} view{'s' * (len(result.views) != 1)}"
    numbers = f"AUC {number(result.metrics.auc)}, ACC {number(result.metrics.acc)}"
    typer.echo(f"{clean(found.name)}, {result.split}, {result.n} images, {views}: {numbers}")
    typer.echo(f"In {clean(str(folder))}.")
