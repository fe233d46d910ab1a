"""How far the runs of a suite are where its journal does not say it: the same in status, counts, table and dry run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stand_ins import make_run

from engine.contract.recipe.reader import build_recipe
from engine.contract.store.workspace import Workspace
from medtui.console.suites.reader import SuitesReader
from medtui.suites.estimate import preview
from medtui.suites.groups import table_of
from medtui.suites.plan import Plan, planned
from medtui.suites.requests import begin_plan, to_retry
from medtui.suites.settling import work_of
from medtui.suites.slots import Slots
from medtui.suites.status import describe_counts, status_values, statuses_of
from medtui.suites.store import Store

RUNS = [f"20261121_cells_model_{at:06x}" for at in range(3)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def study(workspace: Workspace) -> tuple[Plan, Store]:
    """Three runs; two are completed."""
    recipes = [build_recipe({"dataset": {"name": "cells"}, "training": {"seed": seed}}) for seed in (1, 2, 3)]
    plan, store = planned("study", recipes), Store(workspace, "study")
    begin_plan(plan, store)
    for item, name in zip(plan.items[:2], RUNS, strict=False):
        make_run(workspace, name)
        store.journal().write({"event": "ended", "id": item.id, "outcome": "completed", "run": name})
    return plan, store


@pytest.mark.parametrize("harm", [shutil.rmtree, lambda run: run.rename(run.with_name("renamed"))])
def test_a_run_that_was_deleted_or_renamed_is_pending_for_status_counts_table_and_dry_run(
    harm: Callable[[Path], Any], workspace: Workspace
) -> None:
    """As it is for a resume, which does it again."""
    plan, store = study(workspace)
    harm(workspace.outputs / RUNS[0])
    assert to_retry(store, store.journal().work, failed=False) == [plan.items[0].id]
    work = work_of(store)
    assert describe_counts(work, workspace) == "3 runs: 2 waiting, 1 completed."
    assert [one.shown for one in statuses_of(work.items.values(), workspace)] == ["pending", "completed", "pending"]
    (block,) = table_of(work.items.values(), workspace)
    assert block.groups[0].notes[0] == "2 of 3 missing"
    assert "3 runs (1 done)" in preview(plan, store, Slots(1)).sentences()[0]
    (line,) = SuitesReader(workspace).read("study").suites
    assert line.counts == {"pending": 2, "completed": 1}


@pytest.mark.parametrize(("outcome", "state"), [("completed", "completed"), ("failed", "failed"), (None, "pending")])
def test_a_run_that_ended_after_its_runner_was_killed_counts_as_what_its_files_say(
    outcome: Any, state: str, workspace: Workspace
) -> None:
    plan, store = study(workspace)
    run, last = make_run(workspace, RUNS[2], outcome), plan.items[2].id
    store.journal().write({"event": "claimed", "id": last, "slot": 1, "runner": "r" * 16})
    store.journal().write({"event": "started", "id": last, "run": run.name})
    work = work_of(store)
    assert work.items[last].state == state
    values = status_values(store, work)
    assert values["counts"] == work.counts() and "running" not in values["counts"]
    assert values["runs"][2]["shown"] == ("interrupted" if outcome is None else outcome)
    (block,) = table_of(work.items.values(), workspace)
    assert block.groups[0].count("completed") == (3 if outcome == "completed" else 2)
    assert SuitesReader(workspace).read("study").suites[0].counts == work.counts()
    assert store.journal().work.items[last].state == "running"  # nobody but a runner writes that down
