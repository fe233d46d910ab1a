"""End the jobs of a suite from any host that sees its files: running ones by command, waiting ones by the scheduler."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.protocol import AnyCommand
from engine.contract.wire.text import counted
from medtui.client.control import COMMANDS, NothingToCommand, append_command, commandable_record
from medtui.cluster.submit import scheduler_of, settle
from medtui.suites.journal import WorkJournal
from medtui.suites.store import Store
from medtui.suites.work import Item

WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")  # as Slurm names them


@dataclass(frozen=True)
class Stopping:
    commanded: int  # runs that end after their batch
    cancelled: int  # jobs that waited, or whose run prepared
    unreachable: int  # of which the scheduler was not, or could not be, asked


def stop_jobs(store: Store, journal: WorkJournal, *, abort: bool, finish: bool, by: str) -> Stopping:
    """`finish`: those that run may end by themselves. Raises OutputError."""
    queue = settle(store, journal)
    scheduler = scheduler_of(journal.work)
    states = queue.states if queue is not None else {}
    waiting: list[Item] = []
    beginning: list[Item] = []
    commanded = unreachable = 0
    for item in journal.work.of("submitted"):
        state = states.get(item.job or "")
        if state in WAITING:
            waiting.append(item)
        elif finish and state is not None:
            continue
        elif not finish and _command(store, item, "abort" if abort else "stop", by):
            commanded += 1
        elif state is not None:
            beginning.append(item)
        else:
            unreachable += 1
    if scheduler is not None:
        if waiting:
            scheduler.cancel([item.job for item in waiting if item.job], waiting=True)
        if beginning:
            scheduler.cancel([item.job for item in beginning if item.job], waiting=False)
    return Stopping(commanded, len(waiting) + len(beginning), unreachable)


def describe(found: Stopping, *, abort: bool) -> list[str]:
    """A sentence each."""
    action = "abort" if abort else "stop"
    sentences = [
        f"{counted(found.commanded, 'run')} asked to {action} after the batch.",
        f"{counted(found.cancelled, 'run')} cancelled before training.",
        f"{counted(found.unreachable, 'run')} left alone: the scheduler does not answer, and no engine can be asked.",
    ]
    counts = (found.commanded, found.cancelled, found.unreachable)
    nonzero = [sentence for count, sentence in zip(counts, sentences, strict=True) if count]
    return nonzero or ["No run is waiting or training."]


def _command(store: Store, item: Item, name: str, by: str) -> bool:
    """Ask its engine, through the run's files; false where there is none that could be asked."""
    if item.run is None:
        return False
    run = RunDirectory(store.workspace.outputs / item.run)
    try:
        record = commandable_record(run)
        command: AnyCommand = COMMANDS[name](id=secrets.token_hex(8), by=by, engine=record.engine_id)
        append_command(run.control, command)
    except NothingToCommand:
        return False
    return True
