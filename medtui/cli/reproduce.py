"""`medtui reproduce`: published values against runs of their protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtui.cli.options import DataOption, OfflineOption, WorkspaceOption

if TYPE_CHECKING:
    from engine.contract.store.workspace import Workspace
    from medtui.client.reproduce import Planned, Verdict

DEVIATES = 1  # the exit code where a value lies outside its tolerance
SetsOption = Annotated[
    str | None, typer.Option("--sets", metavar="A,B", help="Only the rows of these data sets. [default: all]")
]
SeedsOption = Annotated[
    str | None, typer.Option("--seeds", metavar="1,2,3", help="Seeds of the runs. [default: 1,2,3]")
]


def reproduce(
    table: Annotated[str, typer.Argument(help="A published table: medmnist_v2.")],
    sets: SetsOption = None,
    seeds: SeedsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and run nothing.")] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
) -> int:
    """Reproduce published values: train what is missing, compare the means.

    Existing runs are used. Exit code 1 when a value lies outside its tolerance.
    """
    from engine.contract.recipe.reproduction import SEEDS
    from engine.contract.store.workspace import find_workspace
    from medtui.client.reproduce import planned, targets, verdicts
    from medtui.client.run_index import run_rows

    rows = targets(table, sets.split(",") if sets is not None else [])
    chosen = _seeds(seeds) if seeds is not None else SEEDS
    ws = find_workspace(workspace)
    plan = planned(rows, chosen, run_rows(ws.outputs))
    _print_plan(plan)
    if dry_run:
        return 0
    for one in plan:
        if one.found is None and (code := _train(one, ws, data, offline=offline)):
            return code
    plan = planned(rows, chosen, run_rows(ws.outputs))
    found = verdicts(plan)
    _print_verdicts(found)
    complete = all(one.found is not None for one in plan)
    return 0 if complete and all(verdict.within for verdict in found) else DEVIATES


def _seeds(text: str) -> list[int]:
    """Raises UsageError."""
    from engine.contract.wire.errors import UsageError
    from medtui.sentences import Reproducing

    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() and int(word) < 2**32 for word in words):
        raise UsageError(Reproducing.SEEDS, found=text[:60])
    return list(dict.fromkeys(map(int, words)))


def _train(one: Planned, ws: Workspace, data: Path | None, *, offline: bool) -> int:
    """As `medtui run` does. The exit code."""
    from engine.contract.wire.jobs import Train
    from medtui.cli.run import data_folders, display_for, on_disconnect
    from medtui.plain.headless import run_headless

    start = Train(
        id="start",
        by="medtui reproduce",
        recipe=one.recipe.model_dump(mode="json"),
        data=data_folders(data),
        offline=offline,
        on_disconnect=on_disconnect(one.recipe, detach=False),
    )
    return run_headless(start, ws, display_for(verbose=False))


def _print_plan(plan: Sequence[Planned]) -> None:
    from engine.contract.data.published import remarks
    from engine.contract.wire.text import counted
    from medtui.output import print_line
    from medtui.text import clean, number

    for target in dict.fromkeys(one.target for one in plan):
        published = target.published
        marks = "".join(f"; {mark}" for mark in remarks(published, target.among))
        values = f"AUC {number(published.auc, 3)} ± {target.auc_tolerance:g}"
        values += f", ACC {number(published.acc, 3)} ± {target.acc_tolerance:g}"
        print_line(f"{target.dataset}, {target.size} px, {published.method}: {values}{marks}")
        for one in plan:
            if one.target == target:
                print_line(f"  seed {one.seed}: {clean(one.found.run) if one.found else 'to be trained'}")
    sources = dict.fromkeys(f"{one.target.published.source.citation}" for one in plan)
    print_line(f"Published in {'; '.join(sources)}.")
    missing = sum(one.found is None for one in plan)
    print_line(f"{counted(len(plan), 'run')}: {len(plan) - missing} found here, {missing} to be trained.")


def _print_verdicts(found: Sequence[Verdict]) -> None:
    from medtui.output import print_line
    from medtui.text import number

    for one in found:
        seeds = " ".join(number(value, 3) for value in one.values)
        relation = "within" if one.within else "outside"
        bounds = f"{one.published - one.tolerance:.3f}–{one.published + one.tolerance:.3f}"
        mean = f"mean {number(one.mean, 3)} of {seeds}"
        print_line(
            f"{one.target.dataset} {one.metric}: {mean}; published {number(one.published, 3)}: {relation} {bounds}"
        )
