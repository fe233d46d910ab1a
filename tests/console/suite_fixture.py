"""A workspace with suites and a queue whose runs are in every state, as files: no engine is started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from stand_ins import TESTED, Story, make_run

from engine.contract.machine.process_identity import this_process
from engine.contract.recipe.reader import build_recipe
from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.slots import SlotLock
from engine.contract.store.status import Status
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import PhaseChanged
from medtui.suites.plan import plan_of, planned
from medtui.suites.store import Store, queue_of
from medtui.suites.suite_file import read_suite
from medtui.suites.work import Item

OWNER, RUNNER = "suite study", "r" * 16
STUDY = "recipe: breastmnist\nmodels: [mini_cnn, resnet18_adapted]\nseeds: 1-4\n"


def run_name(at: int) -> str:
    return f"20261121_breastmnist_model_{at:06x}"


def make_alive(run: RunDirectory, phase: Any = "training") -> None:
    """Its engine is this process."""
    me, status = this_process(), Status.model_validate_json(run.status.path.read_text())
    values = {"pid": me.pid, "started": me.started, "boot": me.boot, "host": me.host, "phase": phase}
    run.status.path.write_text(status.model_copy(update=values).model_dump_json())
    if phase != "training":
        event = PhaseChanged(seq=status.seq + 1, time=status.updated, phase=phase)
        run.journal.path.write_bytes(run.journal.path.read_bytes() + event.line())


def end(run: RunDirectory, outcome: Any = "completed") -> None:
    """As its engine does."""
    story = Story(run.root)
    story.seq, story.time = 1000, story.time + 1000
    lines = b"".join(one.line() for one in story.ended(outcome))
    run.journal.path.write_bytes(run.journal.path.read_bytes() + lines)
    status = Status.model_validate_json(run.status.path.read_text())
    run.status.path.write_text(status.model_copy(update={"outcome": outcome}).model_dump_json())


def make_study(workspace: Workspace) -> list[Item]:
    """Eight runs: two completed, two that live, one each that failed, was stopped, is to be resumed and waits."""
    (workspace.root / "study.yaml").write_text(STUDY)
    plan = plan_of(read_suite(workspace.root / "study.yaml"))
    items = sorted(plan.items, key=lambda item: ("resnet" in item.label, item.label))
    journal = Store(workspace, "study").make()
    journal.write({"event": "planned", "items": [item.values() for item in plan.items]})
    outcomes = ("completed", "completed", None, "failed", "stopped", None, "aborted", "-")
    for at, (item, outcome) in enumerate(zip(items, outcomes, strict=True)):
        if outcome == "-":
            continue
        seed = item.recipe["training"]["seed"]
        test = TESTED.model_copy(update={"auc": 0.90 + 0.01 * at})
        run = make_run(workspace, run_name(at), outcome, test=test, seed=seed, model=item.recipe["model"]["name"])
        manifest = json.loads(run.manifest.path.read_text())
        run.manifest.path.write_text(json.dumps({**manifest, "suite": {"owner": OWNER, "item": item.id}}))
        journal.write({"event": "claimed", "id": item.id, "slot": 1 + at // 4, "runner": RUNNER})
        journal.write({"event": "started", "id": item.id, "run": run.name})
        if outcome is None:
            make_alive(run, "training" if at == 2 else "paused")
        elif outcome == "aborted":
            journal.write({"event": "interrupted", "id": item.id, "at": None})
        else:
            detail = "The loss is NaN in epoch 4." if outcome == "failed" else ""
            journal.write({"event": "ended", "id": item.id, "outcome": outcome, "run": run.name, "detail": detail})
    return items


def make_pilot(workspace: Workspace) -> None:
    """A second suite, that is complete."""
    plan = planned("pilot", [build_recipe({"dataset": {"name": "breastmnist"}, "training": {"seed": 9}})])
    journal = Store(workspace, "pilot").make()
    journal.write({"event": "planned", "items": [item.values() for item in plan.items]})
    [item] = plan.items
    run = make_run(workspace, run_name(0x90))
    journal.write({"event": "ended", "id": item.id, "outcome": "completed", "run": run.name, "detail": ""})


def make_queue(workspace: Workspace, n: int = 3) -> None:
    journal = queue_of(workspace).make()
    for at in range(1, n + 1):
        values: dict[str, Any] = {"dataset": {"name": "dermamnist"}, "training": {"seed": at}}
        [item] = planned("queue", [build_recipe(values)]).items
        journal.write({"event": "added", "item": replace(item, id=str(at)).values()})


@contextmanager
def held(workspace: Workspace, *living: str) -> Iterator[None]:
    """By the runner of the study, which is this process, and whose engines train these runs."""
    lock = WorkspaceLock(workspace.lock_file, RUNNER, OWNER)
    lock.acquire()
    slots = [SlotLock(workspace.folder, at, OWNER, RUNNER, f"{at}" * 16) for at in range(1, len(living) + 1)]
    try:
        for slot, run in zip(slots, living, strict=True):
            slot.acquire()
            slot.describe(run)
        yield
    finally:
        for one in (*slots, lock):
            one.release()


@contextmanager
def without_runner(workspace: Workspace, run: str) -> Iterator[None]:
    """As `held`, by the engine of this run alone: the runner was killed."""
    runner, slot = WorkspaceLock(workspace.lock_file, RUNNER, OWNER), SlotLock(workspace.folder, 1, OWNER, RUNNER, "1")
    runner.acquire()
    slot.acquire()
    slot.describe(run)
    runner.release()
    try:
        yield
    finally:
        slot.release()
