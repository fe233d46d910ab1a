"""`medtui score`: evaluate an official MedMNIST result file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from medtui.cli.options import DataOption, JsonOption, OfflineOption, WorkspaceOption, path_named

NAMED_OTHERWISE = 1  # exit code: what the name says is not what the file gives


def score(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            parser=path_named,
            help="Result file, such as breastmnist_test_[AUC]0.913_[ACC]0.846@run.csv.",
        ),
    ],
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> int:
    """Compute AUC and ACC of a result file as the official evaluator does.

    Exit code 1: the file's name says others.
    """
    from engine.contract.files.paths import absolute, expanded, path_status
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from engine.contract.wire.jobs import Score
    from engine.contract.wire.protocol import EvaluationFinished
    from engine.contract.wire.text import counted
    from medtui.cli.job_progress import JobProgress
    from medtui.cli.run import data_folders
    from medtui.client.job import CLEANUP, do_job
    from medtui.output import print_error, print_json, print_line
    from medtui.sentences import CommandLine, Scores
    from medtui.text import number

    file = expanded(file)
    if not (there := path_status(file)).is_file:
        raise UsageError(CommandLine.NO_RESULT_FILE, path=file, reason=there.why)
    path, folders = str(absolute(file)), data_folders(data)
    start = Score(id="start", by="medtui score", file=path, data=folders, offline=offline)
    with JobProgress(quiet=json, on_stderr=True) as progress:
        state = do_job(start, find_workspace(workspace), on_event=progress, grace=CLEANUP)
    result: EvaluationFinished = state.evaluations[-1]
    metrics = result.metrics
    others = differing(file.name, {"AUC": metrics.auc, "ACC": metrics.acc})
    if json:
        values = {"dataset": result.dataset, "split": result.split, "n": result.n, "differs_from_name": list(others)}
        print_json({**values, "auc": metrics.auc, "acc": metrics.acc})
    else:
        numbers = f"AUC {number(metrics.auc)}, ACC {number(metrics.acc)}"
        print_line(f"{result.dataset} {result.split}, {counted(result.n, 'image')}: {numbers}")
        for name, reason in metrics.reasons.items():
            print_line(f"{name}: {reason}")
    for name, (named, value) in others.items():
        print_error(" ".join(Scores.NAMED_OTHERWISE.text(name=name, named=named, found=value)))
    return NAMED_OTHERWISE if others else 0


def differing(name: str, found: Mapping[str, float | None]) -> dict[str, tuple[str, float]]:
    """What the name of a result file says otherwise than it is, and both; a unit of its last digit is rounding."""
    others = {}
    for metric, value in found.items():
        named = re.search(rf"\[{metric}\](\d+\.(\d+))", name)
        if named is None or value is None or math.isnan(value):
            continue
        if abs(float(named[1]) - value) > 1.001 * 10.0 ** -len(named[2]):
            others[metric] = (named[1], value)
    return others
