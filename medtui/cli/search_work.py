"""Work on a search from the command line: what is said before, what must be as it was, then the runner."""

from __future__ import annotations

from engine.contract.machine.hardware import refuse_impossible
from engine.contract.store.workspace import Workspace
from medtui.cli.work import work_on
from medtui.output import print_error
from medtui.plain.search import print_search
from medtui.rich_output import print_wrapped, stdout_console
from medtui.search.asking import require_optuna
from medtui.search.definition import Search, defined_before, refuse_other
from medtui.search.planner import SearchPlanner, recover
from medtui.search.trials import Trials
from medtui.suites.estimate import estimate
from medtui.suites.requests import refuse_second_runner, retry_ended
from medtui.suites.slots import Slots, slots_for
from medtui.suites.store import Store


def begin(search: Search, ws: Workspace, *, slots: int | None, retry: bool, dry_run: bool, as_json: bool) -> int:
    """Say what a search will do, then do it. Its exit code."""
    require_optuna()
    refuse_impossible(search.base)
    store = Store(ws, search.name, is_search=True)
    chosen = slots_for([(store.owner, search.base)], slots)
    refuse_other(search, defined_before(store.journal().work, search.name))
    if not as_json:
        _print_plan(search, store, chosen)
    if dry_run:
        return 0
    refuse_second_runner(store)
    journal = store.make()
    journal.write(search.event())
    if not journal.work.items and (found := recover(search, store, journal)):
        print_error(f"medtui: {found} run{'s' * (found != 1)} of this search found in {ws.outputs}.")
    retry_ended(store, journal, failed=retry)
    planner = SearchPlanner(search, Trials(search, ws))
    return work_on(store, chosen, as_json=as_json, planner=planner, total=search.file.runs)


def _print_plan(search: Search, store: Store, slots: Slots) -> None:
    console, work = stdout_console(), store.journal().work
    print_search(console, search, str(slots))
    if search.file.runs is not None:
        left = search.file.runs - sum(item.over for item in work.items.values())
        for sentence in estimate([search.base] * left, store.workspace, search.data).sentences(slots):
            print_wrapped(console, sentence)
