"""What became of runs that no journal says: by their files, and by a scheduler's queue where that can be asked.

A suite on a cluster has no runner, and a runner may be killed. Jobs and engines write in their own files only; whoever
looks at the suite, or continues it, finds out here how far it is. That is a function of what is found: events, which
`status` applies to what it shows, and which what continues a suite writes to its journal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.contract.machine.process_identity import this_process
from engine.contract.store.lock import LockState
from engine.contract.store.run_directory import RunDirectory, is_run
from engine.contract.store.run_record import read_run
from engine.contract.store.slots import slot_lock_name
from engine.contract.wire.errors import ABORTED, COMPLETED
from medtui.suites.job_record import JobRecord, read_record
from medtui.suites.store import QUEUE, Store, run_directory, runs_of
from medtui.suites.work import ENDED_ON_REQUEST, Event, Item, Submission, Work

SUBMITTING = 600.0  # seconds that another host may take to submit; whether it still does cannot be seen from here
_OF_ALL = ("stop", "abort")  # what is asked of a runner that ends all its runs


@dataclass(frozen=True)
class Queue:
    """What a scheduler has waiting or running."""

    states: Mapping[str, str]  # by job, in the scheduler's words: PENDING, RUNNING
    arrays: Mapping[str, str]  # by name of a submission: the id of its array, or of its only job
    # Of a scheduler without arrays: by name of a submission, its jobs by their number in it
    jobs: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Any job of this submission?"""
        return name in self.arrays or name in self.jobs

    def of(self, name: str, count: int) -> list[str | None]:
        """The jobs of a submission of so many, in their order; None for one that is not there."""
        if (array := self.arrays.get(name)) is None:
            return [self.jobs.get(name, {}).get(number) for number in range(count)]
        return [array] if count == 1 else [f"{array}_{number}" for number in range(count)]


def work_of(store: Store) -> Work:
    """The runs of a suite as they are now, as far as files say it. Writes nothing. Raises OutputError."""
    return settled_work(store, store.journal().work, None)


def settled_work(store: Store, work: Work, queue: Queue | None) -> Work:
    """The same of a journal's runs, with what the scheduler has of them."""
    for event in [*settled(store, work, queue), *settled_here(store, work)]:
        work.apply(event)
    return work


def settled_here(store: Store, work: Work) -> list[Event]:
    """The events that say what became of the runs of this machine, of which nobody will tell its journal."""
    left = work.of("claimed", "running") if store.runner() is None else []
    left = [item for item in left if not holds_slot(store, item) and not _may_live(run_left(store, item))]
    started = runs_of(store) if any(item.run is None for item in left) else {}
    found = [event for item in left for event in left_behind(work, item, run_left(store, item) or started.get(item.id))]
    deleted = gone(store, work)
    return [*found, {"event": "retried", "ids": deleted}] if deleted else found


def gone(store: Store, work: Work) -> list[str]:
    """Ids of the runs that were completed and are there no more: they are to be done again.

    None of the queue: an entry that was deleted is done with.
    """
    done = work.of("completed") if store.name != QUEUE else []
    return [one.id for one in done if one.run is None or not is_run(run_directory(store.workspace, one.run).root)]


def holds_slot(store: Store, item: Item) -> bool:
    """Has it, or did it get just now, an engine that trains although its runner is gone?"""
    state = LockState.read(store.workspace.folder.file(slot_lock_name(item.slot or 0)))
    return bool(state.held) and state.holder is not None and state.holder.owner == store.owner


def _may_live(run: RunDirectory | None) -> bool:
    """Has it an engine that lives, also one on another host, of which that cannot be known?"""
    record = read_run(run) if run is not None else None
    return record is not None and record.engine is not None and record.outcome is None


def run_left(store: Store, item: Item) -> RunDirectory | None:
    return RunDirectory(store.workspace.outputs / item.run) if item.run is not None else None


def left_behind(work: Work, item: Item, run: RunDirectory | None) -> Iterator[Event]:
    """What the files of a run say whose runner and engine are gone. `run`: the newest that was started for it."""
    if run is None or not is_run(run.root):
        yield {"event": "released", "id": item.id}
        return
    record = read_run(run)
    if item.state == "claimed" and item.run is not None and record.engine_id == item.after:
        yield {"event": "released", "id": item.id}  # its new engine had not begun
        return
    if item.run is None:
        yield {"event": "started", "id": item.id, "run": run.name}
    outcome = record.summary.outcome
    if outcome is None or outcome == "crashed":
        died: Event = {"event": "interrupted", "id": item.id, "at": None}
        killed: Event = {"event": "ended", "id": item.id, "outcome": "killed", "run": run.name}
        yield killed if item.kill_asked else died
    elif outcome in ENDED_ON_REQUEST and work.asked.get(item.runner or "") in _OF_ALL:
        yield {"event": "released", "id": item.id}  # asked with all, after its runner had gone
    else:
        yield {"event": "ended", "id": item.id, "outcome": outcome, "run": run.name}


def settled(store: Store, work: Work, queue: Queue | None, *, submits: bool = False) -> list[Event]:
    """The events that say what became of the submitted runs. Without a queue, as far as files say it.

    `submits`: this process is the one that submits, and does not do so now. A claim of its own is then one whose
    submission failed.
    """
    submitted = work.of("submitted")
    if not submitted:
        return []
    unnamed = list(_found_jobs(work, submitted, queue, submits=submits))
    known = Work(dict(work.items))
    for event in unnamed:
        known.apply(event)
    runs = runs_of(store)
    found = [event for item in known.of("submitted") for event in _of_item(store, item, runs.get(item.id), queue)]
    return unnamed + found


def _found_jobs(work: Work, submitted: list[Item], queue: Queue | None, *, submits: bool) -> Iterator[Event]:
    """Of submissions that ended before the scheduler's answer was recorded."""
    nameless = {item.submission: None for item in submitted if item.job is None and item.submission is not None}
    for submission in nameless:
        if queue is None or is_submitting(submission, submits=submits):
            continue
        ids = [item.id for item in work.items.values() if item.submission == submission]
        jobs = dict(zip(ids, queue.of(submission.name, len(ids)), strict=True))
        yield from ({"event": "released", "id": id_} for id_, job in jobs.items() if job is None)
        if found := {id_: (job, "") for id_, job in jobs.items() if job is not None}:
            yield {"event": "submitted", "jobs": found}


def is_submitting(submission: Submission, *, submits: bool = False) -> bool:
    """May a command be submitting it right now? `submits`: as of `settled`."""
    if submits and submission.submitter is not None and submission.submitter.is_same(this_process()):
        return False
    alive = submission.submitter.is_alive() if submission.submitter is not None else False
    return alive if alive is not None else time.time() - submission.at < SUBMITTING


def _of_item(store: Store, item: Item, run: RunDirectory | None, queue: Queue | None) -> Iterator[Event]:
    if item.job is None:
        return
    record = read_record(store.job_record(item.id))
    record = record if record is not None and record.job == item.job else None  # else of an earlier job
    if run is not None and run.name != item.run:
        yield {"event": "located", "id": item.id, "run": run.name}
    has_ended = record is not None and record.phase == "ended"
    if has_ended or (queue is not None and item.job not in queue.states):
        yield _end(item, run, record if has_ended else None)


def _end(item: Item, run: RunDirectory | None, record: JobRecord | None) -> Event:
    """`record`: of a job that ended in order; None where the scheduler has it no more."""
    outcome = read_run(run).summary.outcome if run is not None else None
    code = record.code if record is not None else None
    if outcome in (None, "aborted") and code not in (None, COMPLETED, ABORTED):
        outcome = "failed"  # before it began again, or its engine died
    if outcome is None or (outcome == "aborted" and record is None):  # it was cancelled, or killed
        return {"event": "interrupted" if run is not None else "released", "id": item.id, "at": None}
    detail = f"the output of its job is in {item.log}" if outcome == "failed" and item.log else ""
    return {"event": "ended", "id": item.id, "outcome": outcome, "run": run.name if run else None, "detail": detail}
