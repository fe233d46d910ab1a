"""`medtui score`: evaluate an official MedMNIST result file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medtui.cli.options import DataOption, JsonOption, OfflineOption, WorkspaceOption


def score(
    file: Annotated[Path, typer.Argument(help="For example breastmnist_test_[AUC]0.913_[ACC]0.846@run.csv.")],
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> int:
    """AUC and ACC of a result file, as the official evaluator computes them."""
    from engine.contract.errors import UsageError
    from engine.contract.protocol import EvaluationFinished, Start
    from engine.contract.workspace import find_workspace
    from medtui.cli.run import data_folders
    from medtui.cli.shown import Shown
    from medtui.client.job import TIDYING, do_job
    from medtui.text import json_text, number

    if not file.is_file():
        raise UsageError(f"Expected a result file, found none at {file}.", "Check its name.")
    path, folders = str(file.resolve()), data_folders(data)
    start = Start(id="start", by="medtui score", job="score", file=path, data=folders, offline=offline)
    with Shown(quiet=json, beside=True) as shown:
        state = do_job(start, find_workspace(workspace), tell=shown, grace=TIDYING)
    result: EvaluationFinished = state.evaluations[-1]
    metrics = result.metrics
    if json:
        values = {"dataset": result.dataset, "split": result.split, "n": result.n}
        typer.echo(json_text({**values, "auc": metrics.auc, "acc": metrics.acc}))
    else:
        numbers = f"AUC {number(metrics.auc)}, ACC {number(metrics.acc)}"
        typer.echo(f"{result.dataset} {result.split}, {result.n} images: {numbers}")
        for name, reason in metrics.reasons.items():
            typer.echo(f"{name}: {reason}")
    return 0
