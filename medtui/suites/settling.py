"""What became of the runs that were given to a scheduler: by their files, and by its queue where that can be asked.

A suite on a cluster has no runner. Its jobs write in their own files only; whoever looks at the suite, or continues it,
finds out here how far it is. That is a function of what is found: events, which `status` applies to what it shows, and
which the commands that change a suite write to its journal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.contract.machine.process_identity import this_process
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_record import read_run
from engine.contract.wire.errors import ABORTED, COMPLETED
from medtui.suites.job_record import JobRecord, read_record
from medtui.suites.store import Store, runs_of
from medtui.suites.work import Event, Item, Submission, Work

SUBMITTING = 600.0  # seconds that another host may take to submit; whether it still does cannot be seen from here


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
    for event in settled(store, work, queue):
        work.apply(event)
    return work


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
        if queue is None or _is_submitting(submission, submits=submits):
            continue
        ids = [item.id for item in work.items.values() if item.submission == submission]
        jobs = dict(zip(ids, queue.of(submission.name, len(ids)), strict=True))
        yield from ({"event": "released", "id": id_} for id_, job in jobs.items() if job is None)
        if found := {id_: (job, "") for id_, job in jobs.items() if job is not None}:
            yield {"event": "submitted", "jobs": found}


def _is_submitting(submission: Submission, *, submits: bool) -> bool:
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
