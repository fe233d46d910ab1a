"""`medtui evaluate`: evaluate a run's test split again, from its saved weights, or the features of its model alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from medtui.cli.options import DataOption, JsonOption, OfflineOption, RunArgument, WorkspaceOption

if TYPE_CHECKING:
    from engine.contract.wire.protocol import EvaluationFinished

KnnOption = Annotated[
    int | None,
    typer.Option("--knn", min=1, metavar="K", help="Evaluate features by the K nearest training images (cosine)."),
]


def evaluate(
    run: RunArgument = "last",
    no_tta: Annotated[bool, typer.Option("--no-tta", help="Evaluate without test-time augmentation.")] = False,
    knn: KnnOption = None,
    probe: Annotated[bool, typer.Option("--probe", help="Evaluate features by a linear probe.")] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Evaluate a run again; results go to its evaluations/ folder."""
    from engine.contract.store.find_run import find_run
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.errors import UsageError
    from medtui.cli.job_progress import JobProgress
    from medtui.cli.run import data_folders
    from medtui.client.evaluate import evaluate_features, evaluate_run, later_evaluations
    from medtui.sentences import CommandLine

    if knn is not None and probe:
        raise UsageError(CommandLine.EVALUATION_CONFLICT, one="--knn", other="--probe")
    ws = find_workspace(workspace)
    found = find_run(ws.outputs, run)
    tta = False if no_tta else None
    validation, by, folders = None, "medtui evaluate", data_folders(data)
    with JobProgress(quiet=json, on_stderr=True) as progress:
        if knn is not None or probe:
            validation, result = evaluate_features(
                found, ws, folders, "probe" if probe else "knn", knn, by=by, offline=offline, on_event=progress
            )
        else:
            result = evaluate_run(found, ws, folders, tta=tta, by=by, offline=offline, on_event=progress)
    last = later_evaluations(found)[-1]
    if json:
        _print_json(found.name, result, validation, last.method, str(last.folder))
    else:
        _print(found.name, result, validation, last.method, str(last.folder))


def _print_json(
    run: str, result: EvaluationFinished, validation: EvaluationFinished | None, method: str, folder: str
) -> None:
    from medtui.output import print_json

    values: dict[str, object] = {"run": run, "dataset": result.dataset, "split": result.split, "n": result.n}
    values |= {"views": result.views, "auc": result.metrics.auc, "acc": result.metrics.acc}
    values |= {"auc_ci95": result.metrics.auc_ci95, "acc_ci95": result.metrics.acc_ci95}
    if validation is not None:
        of_validation = {"n": validation.n, "auc": validation.metrics.auc, "acc": validation.metrics.acc}
        values |= {"method": method, "validation": of_validation}
    print_json(values | {"folder": folder})


def _print(
    run: str, result: EvaluationFinished, validation: EvaluationFinished | None, method: str, folder: str
) -> None:
    from engine.contract.wire.text import counted
    from medtui.output import print_line
    from medtui.text import interval, number

    views = f"{len(result.views)} view{'s' * (len(result.views) != 1)}"
    for one in (result,) if validation is None else (validation, result):
        numbers = f"AUC {number(one.metrics.auc)}, ACC {number(one.metrics.acc)}"
        print_line(f"{run}, {one.split}, {counted(one.n, 'image')}, {method or views}: {numbers}")
    print_line(f"95 % intervals: AUC {interval(result.metrics.auc_ci95)}, ACC {interval(result.metrics.acc_ci95)}")
    print_line(f"Written to {folder}.")
