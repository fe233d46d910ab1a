"""`medtui suite job`: one run of a suite or search, on the node that the scheduler gave it."""

from __future__ import annotations

import secrets
import time
from typing import Any

from engine.contract.store.run_directory import RunDirectory, is_run
from engine.contract.store.run_record import read_run
from engine.contract.store.status import read_status
from engine.contract.wire.errors import COMPLETED, UsageError, WorkspaceLocked
from engine.contract.wire.jobs import SuiteItem, Train
from medtui.client.liveness import Heartbeat
from medtui.client.resume import resume_command
from medtui.plain.headless import Display, run_headless
from medtui.sentences import Cluster
from medtui.suites.job_template import template_of
from medtui.suites.store import Store, runs_of
from medtui.suites.work import Item

BY = "medtui suite job"
POLL = 0.5  # seconds


def do_item(store: Store, id_: str, log: str | None, display: Display, command_line: list[str]) -> int:
    """Start or resume the run. Its exit code. Raises UsageError, WorkspaceLocked or OutputError."""
    work = store.make_for_jobs().work
    item = work.items.get(id_)
    if item is None:
        raise UsageError(Cluster.NO_SUCH_ITEM, owner=store.owner, kind=store.kind, found=id_)
    if item.pruned is not None:  # while its job waited, maybe again
        display.note(f"{item.label}: pruned, so it is not trained any further.")
        return COMPLETED
    run = runs_of(store).get(id_)
    if run is not None and is_run(run.root):
        if read_run(run).outcome == "completed":
            display.note(f"{item.label}: completed before by {run.name}.")
            return COMPLETED
        refuse_living(run)
        start = resume_command(run, store.workspace, by=BY, data=item.data, command_line=command_line)
    else:
        recipe = _recipe(item, template_of(work.template).cpus)
        start = Train(id=secrets.token_hex(4), by=BY, recipe=recipe, data=list(item.data), command_line=command_line)
    given = SuiteItem(suite=store.name, item=id_, search=store.is_search, log=log)
    start = start.model_copy(update={"suite_item": given, "offline": item.offline, "folder": item.folder})
    return run_headless(start, store.workspace, display)


def refuse_living(run: RunDirectory) -> None:
    """A node that the scheduler lost may train still. Watches its heartbeat for a while. Raises WorkspaceLocked."""
    heartbeat = Heartbeat()
    while (status := read_status(run)) is not None and status.outcome is None:
        seen = heartbeat.update(status)
        if seen == "alive":
            raise WorkspaceLocked(Cluster.RUN_ALIVE, run=run.name, host=status.host)
        if seen != "checking":
            return
        time.sleep(POLL)


def _recipe(item: Item, cpus: int | None) -> dict[str, dict[str, Any]]:
    """With as many threads as its job has CPUs, on whichever node: another number changes the last bits of a result."""
    recipe = {name: dict(section) for name, section in item.recipe.items()}
    if cpus is not None and recipe.get("runtime", {}).get("threads") is None:
        recipe.setdefault("runtime", {})["threads"] = cpus
    return recipe
