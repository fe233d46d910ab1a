"""Suites on a cluster from the command line: `--on slurm`, and what `suite stop` does to jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.contract.store.workspace import Workspace
    from medtui.cluster.schedulers import Scheduler
    from medtui.cluster.submit import Outcome
    from medtui.suites.job_template import JobTemplate
    from medtui.suites.journal import WorkJournal
    from medtui.suites.plan import Plan
    from medtui.suites.store import Store
    from medtui.suites.work import Item, Work


def submit_plan(
    plan: Plan,
    template: JobTemplate,
    ws: Workspace,
    on: str,
    assignments: Sequence[str],
    *,
    retry: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
    joins: bool = False,
) -> int:
    """Say what the plan's runs will take, then submit those that are neither done nor submitted. Its exit code.

    `joins`: other runs that the suite has stay in it.
    """
    from medtui.cli.work import say_plan, warn_of_damage
    from medtui.suites.estimate import preview
    from medtui.suites.job_template import with_assignments
    from medtui.suites.requests import others_of
    from medtui.suites.slots import Slots
    from medtui.suites.store import Store

    scheduler = chosen_scheduler(on)
    template = with_assignments(template, assignments)
    store = Store(ws, plan.name)
    warn_of_damage(store, store.journal().work)
    if not as_json or dry_run:
        at_once, has_gpu = Slots(template.at_once), template.gpus > 0
        say_plan(preview(plan, store, at_once, joins=joins, has_gpu=has_gpu), as_json=as_json)
    if dry_run:
        return 0
    scheduler.check()
    journal = store.make_for_jobs()
    items: list[Item] = list(plan.items)
    if joins:
        items = [*others_of(plan, journal.work), *items]
    return _submit(store, journal, scheduler, template, items, retry=retry, as_json=as_json)


def resume_on_cluster(
    store: Store, on: str, assignments: Sequence[str], *, retry: bool = False, as_json: bool = False
) -> int:
    """Submit what is missing of a suite, with what its last jobs asked for. Its exit code."""
    from medtui.suites.job_template import template_of, with_assignments

    scheduler = chosen_scheduler(on)
    scheduler.check()
    journal = store.make_for_jobs()
    template = with_assignments(template_of(journal.work.template), assignments)
    return _submit(store, journal, scheduler, template, None, retry=retry, as_json=as_json)


def chosen_scheduler(name: str) -> Scheduler:
    """Raises UsageError."""
    from engine.contract.recipe.names import alternatives
    from engine.contract.wire.errors import UsageError
    from engine.contract.wire.text import shortened
    from medtui.cluster.schedulers import SCHEDULERS
    from medtui.sentences import Cluster

    if name not in SCHEDULERS:
        instead = alternatives("scheduler", name, list(SCHEDULERS))
        raise UsageError(Cluster.UNKNOWN, found=shortened(name), alternatives=instead)
    return SCHEDULERS[name]()


def refuse_only_on_cluster(
    on: str | None, slots: int | None, assignments: Sequence[str] | None, *, detach: bool = False
) -> None:
    """Options that need --on, or that cannot be combined with it. Raises UsageError."""
    from engine.contract.wire.errors import UsageError
    from medtui.sentences import Cluster, Suites

    if on is None and assignments:
        raise UsageError(Cluster.ONLY_ON_CLUSTER, option="--slurm")
    if on is not None and slots is not None:
        raise UsageError(Cluster.SLOTS)
    if on is not None and detach:
        raise UsageError(Suites.SEEDS_CONFLICT, option="--detach", first="--on")


def _submit(
    store: Store,
    journal: WorkJournal,
    scheduler: Scheduler,
    template: JobTemplate,
    items: list[Item] | None,
    *,
    retry: bool,
    as_json: bool,
) -> int:
    from medtui.cluster.submit import begin, submit
    from medtui.output import print_json
    from medtui.suites.requests import retry_ended
    from medtui.suites.status import exit_code_of

    begin(store, items, journal)
    retry_ended(store, journal, failed=retry)
    outcome = submit(store, journal, scheduler, template)
    if as_json:
        jobs = {id_: {"job": job, "log": log} for id_, (job, log) in outcome.submitted.items()}
        print_json({"name": store.name, "submitted": jobs, "left": outcome.left, "counts": journal.work.counts()})
    else:
        _print_outcome(store, journal.work, scheduler, outcome)
    is_over = not outcome.submitted and not journal.work.of("submitted")
    return exit_code_of(journal.work) if is_over else 0


def _print_outcome(store: Store, work: Work, scheduler: Scheduler, outcome: Outcome) -> None:
    from engine.contract.wire.text import counted
    from medtui.output import print_line
    from medtui.suites.status import describe_counts

    for item in outcome.done:
        print_line(f"{item.label}: {item.state}, {item.detail}" + (f" by {item.run}" if item.run else ""))
    if not outcome.submitted:
        print_line(f"Nothing to submit: {describe_counts(work, store.workspace)}")
        return
    jobs = [job for job, _ in outcome.submitted.values()]
    several = f"jobs {jobs[0]} to {jobs[-1]}" if len(jobs) > 1 else f"job {jobs[0]}"
    print_line(f"Submitted to {scheduler.name}: {several}.")
    if outcome.left:
        print_line(f"The array is full: the same command submits {counted(outcome.left, 'more run')} later.")
    print_line(f"`medtui suite status {store.name}` shows them, `medtui suite stop {store.name}` ends them.")
    print_line(f"Their output is in {store.jobs_folder}.")


def stop_on_cluster(store: Store, journal: WorkJournal, *, abort: bool, finish: bool) -> int:
    """End the jobs of a suite. Its exit code. Raises OutputError."""
    from medtui.cli.who import current_user
    from medtui.cluster.stopping import describe, stop_jobs
    from medtui.output import print_line
    from medtui.suites.requests import describe_next

    found = stop_jobs(store, journal, abort=abort, finish=finish, by=current_user())
    for sentence in describe(found, abort=abort):
        print_line(sentence)
    if words := describe_next(store, journal.work):
        print_line(f"{words}.")
    return 0
