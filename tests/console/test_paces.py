"""How long a run takes, by the runs that there are."""

from __future__ import annotations

import json
from typing import Any

from stand_ins import make_run

from engine.contract.recipe.reader import build_recipe
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from medtui.client.preflight import Paces

BREAST: dict[str, Any] = {"dataset": {"name": "breastmnist"}}
FEWER: dict[str, Any] = {"dataset": {"name": "breastmnist", "limit": 400}}


def report_takes(run: RunDirectory, seconds: float) -> None:
    """What follows its last epoch is so much later."""
    events = [json.loads(line) for line in run.journal.path.read_text().splitlines()]
    last = max(at for at, event in enumerate(events) if event["event"] == "epoch.finished")
    later = [event | {"time": event["time"] + seconds * (at > last)} for at, event in enumerate(events)]
    run.journal.path.write_text("".join(json.dumps(event) + "\n" for event in later))


def test_a_run_that_lives_says_nothing_new_where_an_alike_one_has_its_report(workspace: Workspace) -> None:
    report_takes(make_run(workspace, "20261121_a_b_000001"), 50)
    before = Paces(workspace).of(build_recipe(BREAST))
    assert before[0] is not None and before[0] > 150 and before[1] == "20261121_a_b_000001"
    make_run(workspace, "20261121_a_b_000002", None, epochs=2)
    make_run(workspace, "20261121_a_b_000003", "aborted", epochs=2)
    assert Paces(workspace).of(build_recipe(BREAST)) == before


def test_a_run_that_lives_says_how_long_epochs_take_and_others_how_long_what_follows_them(workspace: Workspace) -> None:
    make_run(workspace, "20261121_a_b_000002", None, epochs=2, recipe=FEWER)
    epochs, by = Paces(workspace).of(build_recipe(FEWER))
    assert epochs is not None and by == "20261121_a_b_000002"
    report_takes(make_run(workspace, "20261121_a_b_000001"), 50)
    seconds, by = Paces(workspace).of(build_recipe(FEWER))
    assert seconds is not None and seconds >= epochs + 50 and by == "20261121_a_b_000002"
