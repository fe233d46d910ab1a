"""Work on suites and the queue from the command line: what is said before, the runner, its display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.contract.store.workspace import Workspace
    from medtui.suites.estimate import Preview
    from medtui.suites.plan import Plan
    from medtui.suites.runner import Planner
    from medtui.suites.slots import Slots
    from medtui.suites.store import Store
    from medtui.suites.work import Work


def warn_of_damage(store: Store, work: Work) -> None:
    """To standard error: what is shown, or done, may not be all."""
    from medtui.output import print_error
    from medtui.suites.status import describe_damage

    if (words := describe_damage(store, work)) is not None:
        print_error(f"medtui: {words}")


def start_plan(
    plan: Plan,
    ws: Workspace,
    *,
    slots: int | None,
    retry: bool = False,
    dry_run: bool = False,
    detach: bool = False,
    as_json: bool = False,
    joins: bool = False,
) -> int:
    """Say what the plan's runs will take, then do them. Its exit code.

    `joins`: other runs that the suite has stay in it.
    """
    from medtui.cluster.submit import refuse_on_cluster
    from medtui.suites.estimate import preview
    from medtui.suites.requests import begin_plan, refuse_impossible_runs, slots_of_plan
    from medtui.suites.store import Store

    refuse_impossible_runs(plan)
    _warn_of_trackers(plan)
    store = Store(ws, plan.name)
    warn_of_damage(store, store.journal().work)
    chosen = slots_of_plan(plan, slots)
    if not as_json or dry_run:
        say_plan(preview(plan, store, chosen, joins=joins), as_json=as_json)
    if dry_run:
        return 0
    refuse_on_cluster(store)
    begin_plan(plan, store, retry=retry, joins=joins)
    if detach:
        return work_detached(store, slots, as_json=as_json)
    return work_on(store, chosen, as_json=as_json)


def say_plan(found: Preview, *, as_json: bool) -> None:
    from medtui.output import print_json
    from medtui.rich_output import print_wrapped, stdout_console

    if as_json:
        print_json(found.values())
        return
    for sentence in found.sentences():
        print_wrapped(stdout_console(), sentence)


def _warn_of_trackers(plan: Plan) -> None:
    from medtui.client.trackers import missing_trackers
    from medtui.output import print_error

    for warning in sorted({text for recipe in plan.recipes for text in missing_trackers(recipe.model_dump())}):
        print_error(f"medtui: {warning}")


def work_on(
    store: Store,
    slots: Slots,
    *,
    as_json: bool,
    stays: bool = False,
    planner: Planner | None = None,
    total: int | None = None,
) -> int:
    """Work on a suite, a search or the queue until nothing is left. Its exit code.

    `total`: how many runs there will be, where that is not how many there are.
    """
    from medtui.machine.gpu import read_gpus
    from medtui.plain.notifications import notify_of_work
    from medtui.plain.suite import run_work
    from medtui.preferences import remember_workspace
    from medtui.settings import read_settings
    from medtui.suites.requests import describe_next
    from medtui.suites.runner import Runner

    remember_workspace(store.workspace.root)
    display = display_for(store.workspace, as_json=as_json, total=total)
    command = "medtui queue start" if store.kind == "queue" else f"medtui {store.kind}"
    has_gpu = bool(read_gpus().devices)
    runner = Runner(store, slots, has_gpu=has_gpu, by=command, planner=planner, on_event=display.event)
    idle = runner.work.next is None and planner is None and not stays
    code = run_work(runner, display, stays=stays)
    if planner is not None and (words := planner.describe_end(runner.work)):
        display.note(words)
    may_go_on = planner is None or runner.work.next is not None  # a search that asks for no more runs does not
    if may_go_on and (words := describe_next(store, runner.work, store.start_command)):
        display.note(f"{words}.")
    if runner.work.next is None and store.kind != "queue":
        display.note(f"`medtui {store.kind} table {store.name}` shows the results.")
    if not idle:
        notify_of_work(read_settings().away, runner, code, display.note)
    return code


def work_detached(store: Store, slots: int | None, *, as_json: bool, stays: bool = False) -> int:
    """Leave the work to a process of its own, and say where it is."""
    from medtui.output import print_json, print_line
    from medtui.suites.detached import start_runner

    started = start_runner(store, slots, stays=stays)
    if as_json:
        print_json({"name": store.name, "runner": started.pid, "log": str(started.log)})
    else:
        print_line(str(started))
    return 0


def display_for(ws: Workspace, *, as_json: bool, total: int | None) -> Any:
    """How work on a suite, a search or the queue is shown. `total`: as of `work_on`."""
    from medtui.plain.suite import WorkBars, WorkJson, WorkLines
    from medtui.rich_output import stdout_console

    if as_json:
        return WorkJson()
    console = stdout_console(never_fails=True)
    if console.is_terminal:
        return WorkBars(console, ws, total)
    return WorkLines(stdout_console(never_fails=True, soft_wrap=True), ws, total)
