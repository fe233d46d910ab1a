"""Work on a search from the command line: what is said before, what must be as it was, then the runner, or as jobs."""

from __future__ import annotations

from collections.abc import Sequence

from engine.contract.machine.hardware import refuse_impossible
from engine.contract.store.workspace import Workspace
from medtui.cli.cluster import chosen_scheduler
from medtui.cli.work import display_for, work_on
from medtui.cluster.coordinator import Coordinator
from medtui.cluster.search_journal import SearchJournal
from medtui.cluster.submit import refuse_submitted
from medtui.output import print_error, print_json
from medtui.plain.coordinator import coordinate
from medtui.plain.notifications import notify_of_work
from medtui.plain.search import plan_values, print_search
from medtui.plain.suite import WorkDisplay
from medtui.preferences import remember_workspace
from medtui.rich_output import print_wrapped, stdout_console
from medtui.search.asking import require_optuna
from medtui.search.definition import Search, defined_before, refuse_other
from medtui.search.planner import SearchPlanner, recover
from medtui.search.trials import Trials
from medtui.settings import read_settings
from medtui.suites.estimate import estimate
from medtui.suites.job_template import JobTemplate, template_of, with_assignments
from medtui.suites.journal import WorkJournal
from medtui.suites.requests import refuse_second_runner, retry_ended
from medtui.suites.search_lock import SearchLock
from medtui.suites.slots import Slots, slots_for
from medtui.suites.store import Store


def begin(search: Search, ws: Workspace, *, slots: int | None, retry: bool, dry_run: bool, as_json: bool) -> int:
    """Say what a search will do, then do it on this machine. Its exit code."""
    require_optuna()
    refuse_impossible(search.base)
    store = Store(ws, search.name, is_search=True)
    chosen = slots_for([(store.owner, search.base)], slots)
    refuse_other(search, defined_before(store.journal().work, search.name))
    _say_plan(search, store, chosen, as_json=as_json, dry_run=dry_run)
    if dry_run:
        return 0
    refuse_second_runner(store)
    planner = SearchPlanner(search, Trials(search, ws))
    journal, lock = store.make(), SearchLock(store, "")
    lock.acquire()
    try:
        SearchJournal(store, journal, planner).settle()
        refuse_submitted(store, journal)
        _take_up(search, store, journal, retry=retry)
        return work_on(store, chosen, as_json=as_json, planner=planner, total=search.most_runs)
    finally:
        lock.release()


def begin_on_cluster(
    search: Search,
    ws: Workspace,
    on: str,
    assignments: Sequence[str],
    *,
    resumes: bool = False,
    retry: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
) -> int:
    """Say what a search will do, then have its runs done by jobs, and wait for them. Its exit code.

    `resumes`: its jobs ask for what the last ones asked for, rather than for what its file says.
    """
    require_optuna()
    scheduler = chosen_scheduler(on)
    store = Store(ws, search.name, is_search=True)
    before = store.journal().work
    refuse_other(search, defined_before(before, search.name))
    template = template_of(before.template) if resumes and before.scheduler is not None else search.file.template
    template = with_assignments(template, assignments)
    _say_plan(search, store, Slots(template.at_once), template, as_json=as_json, dry_run=dry_run)
    if dry_run:
        return 0
    scheduler.check()
    remember_workspace(ws.root)
    planner = SearchPlanner(search, Trials(search, ws))
    display = display_for(ws, as_json=as_json, total=search.most_runs)
    coordinator = Coordinator(store, scheduler, template, planner, on_event=display.event, note=display.note)
    with coordinator.working():
        _take_up(search, store, coordinator.journal, retry=retry)
        code = coordinate(coordinator, display)
    if coordinator.over:
        _note_what_follows(coordinator, planner, display)
        notify_of_work(read_settings().away, coordinator, code, display.note)
    return code


def _note_what_follows(coordinator: Coordinator, planner: SearchPlanner, display: WorkDisplay) -> None:
    store = coordinator.store
    if words := planner.describe_end(coordinator.work):
        display.note(words)
    if coordinator.level or coordinator.finishing:
        display.note(f"`{store.continue_command(coordinator.work)}` continues.")
    else:
        display.note(f"`medtui search table {store.name}` shows the results.")


def _take_up(search: Search, store: Store, journal: WorkJournal, *, retry: bool) -> None:
    """Write down what is searched for, and what is to be done again."""
    journal.write(search.event())
    if not journal.work.items and (found := recover(search, store, journal)):
        print_error(f"medtui: {found} run{'s' * (found != 1)} of this search found in {store.workspace.outputs}.")
    retry_ended(store, journal, failed=retry)


def _say_plan(
    search: Search, store: Store, slots: Slots, template: JobTemplate | None = None, *, as_json: bool, dry_run: bool
) -> None:
    """For scripts only what would be done: of what is done they get the events."""
    if as_json and not dry_run:
        return
    found = None
    if search.most_runs is not None:
        left = search.most_runs - sum(item.over for item in store.journal().work.items.values())
        found = estimate([search.base] * left, store.workspace, search.data)
    if as_json:
        jobs = {"jobs": template.values()} if template is not None else {}
        print_json(plan_values(search) | jobs | (found.values(slots) if found is not None else {"slots": slots.count}))
        return
    console = stdout_console()
    print_search(console, search, str(slots))
    if template is not None:
        print_wrapped(console, f"jobs  each request {template}")
    for sentence in found.sentences(slots) if found is not None else ():
        print_wrapped(console, sentence)
