"""`medtui track`: a run written to an experiment tracker."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from medtui.cli.options import JsonOption, RunArgument, WorkspaceOption


def track(
    to: Annotated[
        str, typer.Option("--to", metavar="TRACKER", help="Where to write it: tensorboard, mlflow, wandb or trackio.")
    ],
    run: RunArgument = "last",
    follow: Annotated[bool, typer.Option("--follow", help="Keep writing new values until the run is over.")] = False,
    weights: Annotated[bool, typer.Option("--weights", help="Also write the weights of the best epoch.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Write a run to TensorBoard, MLflow, W&B or Trackio.

    Values that are already there are not added again. Each tracker is an extra, such as medtui[tensorboard].
    """
    from engine.contract.store.workspace import find_workspace
    from engine.contract.wire.text import counted
    from medtui.client.control import resolve_run
    from medtui.client.resume import workspace_of
    from medtui.output import print_json, print_line
    from medtui.track.follow import PATIENCE, Follower, only_follower
    from medtui.track.tracker import Source, open_tracker

    if follow:
        os.nice(10)  # what trains here comes first
    ws = find_workspace(workspace)
    found = resolve_run(ws, run)
    tracker = open_tracker(to, Source(found, workspace_of(found, ws).outputs, weights=weights))
    with only_follower(found, to, PATIENCE if follow else 0.0):
        follower = Follower(found, to, tracker)
        end = follower.follow(to_the_end=follow)
    outcome = end.outcome if end is not None else None
    if json:
        print_json(
            {"run": found.name, "tracker": to, "epochs": follower.epochs, "outcome": outcome, "where": tracker.where}
        )
        return
    epochs = counted(follower.epochs, "epoch")
    print_line(f"{found.name}: {epochs}, {outcome or 'not over yet'}, written to {tracker.where}")
