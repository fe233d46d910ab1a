"""End the jobs of a suite or search, wherever its files are seen: running ones by command, others by the scheduler."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from engine.contract.store.run_directory import RunDirectory
from engine.contract.wire.protocol import AnyCommand
from engine.contract.wire.text import counted
from medtui.client.control import COMMANDS, NothingToCommand, append_command, commandable_record
from medtui.cluster.submit import scheduler_of, settle
from medtui.suites.journal import WorkJournal
from medtui.suites.settling import is_submitting
from medtui.suites.store import Store
from medtui.suites.work import Item

WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")  # as Slurm names them


@dataclass(frozen=True)
class Stopping:
    commanded: int  # runs that end after their batch
    cancelled: int  # jobs that waited, or whose run prepared
    unreachable: int  # of which the scheduler was not, or could not be, asked
    taken_back: tuple[str, ...] = ()  # submissions that may have arrived or not: their runs wait again


def stop_jobs(store: Store, journal: WorkJournal, *, abort: bool, finish: bool, by: str) -> Stopping:
    """`finish`: those that run may end by themselves. Raises OutputError."""
    queue = settle(store, journal)
    taken_back = _take_back(journal)
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
        elif not finish and command_run(store, item, "abort" if abort else "stop", by) is not None:
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
    return Stopping(commanded, len(waiting) + len(beginning), unreachable, taken_back)


def _take_back(journal: WorkJournal) -> tuple[str, ...]:
    """Have runs wait again of which it is not known whether they were submitted; the names of their submissions."""
    claimed = [(item.id, item.submission) for item in journal.work.of("submitted") if item.job is None]
    lost = [(id_, one.name) for id_, one in claimed if one is not None and not is_submitting(one)]
    if lost:
        journal.write(*({"event": "released", "id": id_} for id_, _ in lost))
    return tuple(dict.fromkeys(name for _, name in lost))


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
    taken_back = [
        f"The runs of submission {name} wait again; `scancel --name={name}` ends its jobs, should it have arrived."
        for name in found.taken_back
    ]
    return [*taken_back, *nonzero] or ["No run is waiting or training."]


def command_run(store: Store, item: Item, name: str, by: str, unless: str | None = None) -> str | None:
    """Ask its engine, through the run's files; its id, or None where there is none that could be asked.

    `unless`: the id of an engine that has been asked already.
    """
    if item.run is None:
        return None
    run = RunDirectory(store.workspace.outputs / item.run)
    try:
        engine = commandable_record(run).engine_id
        if engine != unless:
            command: AnyCommand = COMMANDS[name](id=secrets.token_hex(8), by=by, engine=engine)
            append_command(run.control, command)
    except NothingToCommand:
        return None
    return engine
