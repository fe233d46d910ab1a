"""Give runs of a suite or search that are neither done nor under way to a scheduler, each as one job of an array."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from engine.contract.machine.process_identity import this_process
from engine.contract.wire.errors import MedtuiError, OutputError, UsageError, WorkspaceLocked
from medtui.cluster.job import SuiteJob
from medtui.cluster.schedulers import SCHEDULERS, Scheduler, Submitted
from medtui.sentences import Cluster
from medtui.suites.job_template import JobTemplate
from medtui.suites.journal import WorkJournal
from medtui.suites.known_runs import KnownRuns
from medtui.suites.requests import has_runner
from medtui.suites.settling import Queue, settled, settled_work
from medtui.suites.store import Store
from medtui.suites.work import Item, Work

MOST_JOBS = 1000  # of an array, by Slurm's own default; the next command submits the rest


@dataclass(frozen=True)
class Outcome:
    """What a submission came to."""

    submitted: dict[str, Submitted]  # by item
    done: tuple[Item, ...]  # that need no job: another run of the workspace is the same experiment
    left: int  # runs that did not fit into the array


def scheduler_of(work: Work) -> Scheduler | None:
    """What the suite was last submitted to."""
    made = SCHEDULERS.get(work.scheduler or "")
    return made() if made is not None else None


def queue_of(work: Work) -> Queue | None:
    """What its scheduler has of it; None where nothing was submitted, or it does not answer."""
    scheduler = scheduler_of(work)
    names = {item.submission.name for item in work.of("submitted") if item.submission is not None}
    return scheduler.queue(names) if scheduler is not None and names else None


def work_on_cluster(store: Store) -> Work:
    """The runs of a suite as they are now, by their files and by the scheduler. Writes nothing. Raises OutputError."""
    work = store.journal().work
    return settled_work(store, work, queue_of(work))


def settle(store: Store, journal: WorkJournal) -> Queue | None:
    """Bring a journal up to date with what became of submitted runs, and write that down. Raises OutputError.

    Of a search it is not written: its coordinator does so, which prunes a run before it counts what that came to.
    """
    journal.refresh()
    queue = queue_of(journal.work)
    events = settled(store, journal.work, queue)
    if store.is_search:
        for event in events:
            journal.work.apply(event)
    elif events:
        journal.write(*events)
    return queue


def refuse_on_cluster(store: Store) -> None:
    """A runner of this machine must not do what jobs do. Raises WorkspaceLocked."""
    if not store.journal_file.is_regular:
        return
    journal = store.journal()
    if journal.work.of("submitted"):
        settle(store, journal)
    refuse_submitted(store, journal)


def refuse_submitted(store: Store, journal: WorkJournal) -> None:
    """Raises WorkspaceLocked."""
    if left := journal.work.of("submitted"):
        jobs = ", ".join(sorted({(item.job or "not yet numbered").partition("_")[0] for item in left}))
        count, plural = len(left), "s" * (len(left) != 1)
        found = {"count": count, "plural": plural, "scheduler": journal.work.scheduler, "jobs": jobs}
        raise WorkspaceLocked(Cluster.ON_CLUSTER, owner=store.owner, name=store.name, kind=store.kind, **found)


def begin(store: Store, plan: Iterable[Item] | None, journal: WorkJournal) -> None:
    """Bring the journal up to date, and write the plan. Raises UsageError, WorkspaceLocked or OutputError.

    Refused while a runner of this machine works on the suite, where the plan no longer has runs that are under way,
    and where it cannot be known whether runs were submitted. None: the plan stays.
    """
    refuse_runner(store)
    settle(store, journal)
    refuse_unknown(store, journal.work)
    if plan is None:
        return
    items = list(plan)
    kept = {item.id for item in items}
    if dropped := [item for item in journal.work.of("submitted") if item.id not in kept]:
        count, plural = len(dropped), "s" * (len(dropped) != 1)
        found = {"count": count, "plural": plural, "label": dropped[0].label, "scheduler": journal.work.scheduler}
        raise UsageError(Cluster.DROPPED, owner=store.owner, name=store.name, **found)
    journal.write({"event": "planned", "items": [item.values() for item in items]})


def refuse_runner(store: Store) -> None:
    """Raises WorkspaceLocked while a runner of this machine works on it."""
    if (holder := store.runner()) is not None:
        raise has_runner(store, holder)


def refuse_unknown(store: Store, work: Work) -> None:
    """Raises OutputError where it cannot be known whether runs were submitted."""
    if nameless := [item for item in work.of("submitted") if item.job is None]:
        plural = "s" * (len(nameless) != 1)
        names = {"owner": store.owner, "kind": store.kind, "name": store.name}
        raise OutputError(Cluster.UNKNOWN_STATE, count=len(nameless), plural=plural, **names)


def submit(
    store: Store, journal: WorkJournal, scheduler: Scheduler, template: JobTemplate, most: int | None = None
) -> Outcome:
    """Submit what is pending, at most so many. Whatever ends this command, nothing is submitted twice.

    The runs are claimed in the journal under a name before the scheduler is asked to take jobs of that name; a command
    that finds claimed runs without jobs asks it for them. Raises OutputError.
    """
    known = KnownRuns(store.workspace.outputs, has_gpu=template.gpus > 0)
    name = f"{store.name}-{secrets.token_hex(4)}"
    with journal.writing() as writer:
        ended = [event for item in writer.work.of("pending") if (event := known.ended(item)) is not None]
        if ended:
            writer.add(*ended)
        done = tuple(writer.work.items[event["id"]] for event in ended)
        pending = writer.work.of("pending")
        chosen = _first(pending, MOST_JOBS if most is None else min(most, MOST_JOBS))
        if chosen:
            ids = [item.id for item in chosen]
            claim = {"event": "submitting", "ids": ids, "name": name, "scheduler": scheduler.name}
            writer.add({**claim, "submitter": asdict(this_process()), "template": template.values()})
    jobs = _submitted(store, journal, scheduler, template, name, chosen) if chosen else {}
    return Outcome(jobs, done, len(pending) - len(chosen))


def _first(pending: Sequence[Item], most: int) -> list[Item]:
    """So many, those that were interrupted before the others, in the journal's order, as the numbers of jobs are."""
    chosen = {item.id for item in sorted(pending, key=lambda item: item.run is None)[:most]}
    return [item for item in pending if item.id in chosen]


def _submitted(
    store: Store,
    journal: WorkJournal,
    scheduler: Scheduler,
    template: JobTemplate,
    name: str,
    chosen: Sequence[Item],
) -> dict[str, Submitted]:
    root = str(store.workspace.root)
    jobs = [SuiteJob(root, store.name, item.id, template.container, is_search=store.is_search) for item in chosen]
    try:
        found = scheduler.submit(name, jobs, template, store.jobs_folder)
    except MedtuiError as error:
        if error.code == Cluster.NOT_SUBMITTED.code or _is_unknown_to(scheduler, name):  # else the next command asks
            journal.write(*({"event": "released", "id": item.id} for item in chosen))
        raise
    submitted = {item.id: job for item, job in zip(chosen, found, strict=True)}
    journal.write({"event": "submitted", "jobs": {id_: list(job) for id_, job in submitted.items()}})
    return submitted


def _is_unknown_to(scheduler: Scheduler, name: str) -> bool:
    """Does it answer, and has no job of this submission?"""
    queue = scheduler.queue([name])
    return queue is not None and not queue.has(name)
