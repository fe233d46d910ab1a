"""`medtui search`: how far a search is, and the table of its trials, for a terminal of 80 columns."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from medtui.plain.suite_status import print_items
from medtui.rich_output import CleanConsole, print_wrapped, stdout_console
from medtui.search.definition import Search
from medtui.search.results import describe_objective, describe_trials, describe_values, ranked, row
from medtui.search.space import Range
from medtui.search.trials import Trial, best_of
from medtui.suites.formats import mean_and_sd
from medtui.suites.search_lock import describe_coordinator
from medtui.suites.status import status_values
from medtui.suites.store import Store
from medtui.suites.work import Work
from medtui.text import capitalised, clean, number, shortened

STYLES = {"pruned": "dim", "failed": "red", "open": "yellow"}


def describe_budget(search: Search) -> str:
    """`at most 40 runs`."""
    n = search.most_runs
    parts = [f"{n} run{'s' * (n != 1)}"] if n is not None else []
    parts += [f"{search.file.hours:g} hours of training"] if search.file.hours is not None else []
    return f"at most {' and '.join(parts)}"


def print_search(console: CleanConsole, search: Search, slots: str) -> None:
    """What it is about to do."""
    n = len(search.seeds)
    each = f"{n} seed{'s' * (n != 1)} per trial"
    objective = describe_objective(search)
    print_wrapped(console, f"Search {search.name}: {objective}, {each}, {describe_budget(search)}, {slots}")
    for one in search.file.space:
        print_wrapped(console, f"  {one.path}  {'from ' * isinstance(one, Range)}{one}")


def print_status(store: Store, work: Work, search: Search, trials: Sequence[Trial], *, over: bool) -> None:
    console, holder = stdout_console(), store.runner()
    words = str(holder) if holder is not None else f"{store.owner}: {_describe_idle(store, work, over=over)}"
    print_wrapped(console, capitalised(words), style="bold")
    print_items(list(work.items.values()), store.workspace)
    print_wrapped(console, f"{describe_trials(trials)}; {describe_budget(search)}.")
    if best := best_of(search, trials):
        value = mean_and_sd(best[0].summary)
        print_wrapped(console, f"Best: trial {best[0].number}, {describe_objective(search)} {value}.")


def _describe_idle(store: Store, work: Work, *, over: bool) -> str:
    """Of a search that no runner of this machine works on."""
    if (holder := store.coordinator()) is not None:
        return f"on {work.scheduler}, {describe_coordinator(holder)}"
    if over and not work.of("submitted"):
        return "complete"
    where = f"on {work.scheduler}, without a coordinator" if work.of("submitted") else "no runner"
    return f"{where}; `{store.continue_command(work)}` continues"


def plan_values(search: Search) -> dict[str, Any]:
    """What it is about to do, as `--json` prints it."""
    space = {one.path: str(one) for one in search.file.space}
    return {"name": search.name, **_asked(search), "seeds": list(search.seeds), "space": space}


def _asked(search: Search) -> dict[str, Any]:
    objective = {"monitor": search.objective, "epoch": search.file.epoch}
    return {"objective": objective, "budget": {"runs": search.file.runs, "hours": search.file.hours}}


def search_values(store: Store, work: Work, search: Search, trials: Sequence[Trial]) -> dict[str, Any]:
    """As `--json` prints it."""
    best = best_of(search, trials)
    return status_values(store, work) | {
        **_asked(search),
        "trials": [row(trial) | {"values": trial.values} for trial in ranked(search, trials)],
        "best": best[0].number if best else None,
    }


def print_trials(console: CleanConsole, search: Search, trials: Sequence[Trial]) -> None:
    """The best first."""
    print_wrapped(console, f"Search {search.name}, by {describe_objective(search)}", style="bold")
    console.print(f"{'trial':>5}  {'state':<10} {'n':>2}  {'mean ± sd':<17}  values", style="dim", soft_wrap=True)
    for trial in ranked(search, trials):
        value = mean_and_sd(trial.summary) if trial.value is not None else _without_value(trial)
        line = f"{trial.number:>5}  {trial.state:<10} {len(trial.results):>2}  {value:<17}  "
        shown = shortened(clean(describe_values(trial), 400), max(20, console.width - len(line)))
        console.print(line + shown, style=STYLES.get(trial.state), soft_wrap=True)
    print_wrapped(console, f"{describe_trials(trials)}. The test split is not evaluated.", style="dim")


def _without_value(trial: Trial) -> str:
    if trial.pruned is None:
        return ""
    newest = list(trial.judged_curve.values())[-1:]
    return f"{number(newest[0]) if newest else ''} at epoch {trial.pruned[1]}".strip()


def trials_text(search: Search, trials: Sequence[Trial]) -> str:
    text = io.StringIO()
    print_trials(CleanConsole(text, width=100), search, trials)
    return text.getvalue()
