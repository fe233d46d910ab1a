"""`medtui suite status` and `medtui queue list`: how far each run is."""

from __future__ import annotations

import sys

from rich.cells import cell_len

from engine.contract.store.workspace import Workspace
from medtui.plain.suite import STYLES
from medtui.rich_output import print_wrapped, stdout_console, wrapped
from medtui.sentences import Suites
from medtui.suites.grid import distinct_first
from medtui.suites.requests import describe_next
from medtui.suites.status import ItemStatus, as_queued, describe_counts, statuses_of, word_of
from medtui.suites.store import Store
from medtui.suites.work import Item, Work
from medtui.text import UNDEFINED, capitalised, clean, number, shortened


def print_suites(found: list[tuple[Store, Work]]) -> None:
    """A line for each suite."""
    console = stdout_console()
    width = max(cell_len(store.name) for store, _ in found)
    for store, work in found:
        words = (
            describe_counts(work, store.workspace)
            if work.planned
            else Suites.NO_PLAN.text(name=store.name, path=store.folder)[0]
        )
        console.print(f"{store.name:<{width}}  {words}", soft_wrap=True)


def print_status(store: Store, work: Work) -> None:
    console, holder = stdout_console(), store.runner()
    done = all(item.state == "completed" for item in work.items.values())
    idle = "complete" if done else "; ".join(filter(None, ["no runner", describe_next(store, work)]))
    if work.of("submitted"):
        idle = f"on {work.scheduler}"
    words = str(holder) if holder is not None else f"{store.owner}: {idle}"
    print_wrapped(console, capitalised(words), style="bold")
    print_items(list(work.items.values()), store.workspace)
    print_wrapped(console, describe_counts(work, store.workspace))


def print_items(items: list[Item], workspace: Workspace, *, of_queue: bool = False) -> None:
    """A line for each run: state, epochs, AUC, what it is; and below it why it failed."""
    console = stdout_console()
    width = console.width if sys.stdout.isatty() else 10_000
    found = statuses_of(items, workspace)
    starts = [_start_of(as_queued(one) if of_queue else one, with_id=of_queue) for one in found]
    room = max(10, width - max(map(cell_len, starts), default=0))
    labels = distinct_first([clean(item.label, 400) for item in items], room)
    for item, start, label in zip(items, starts, labels, strict=True):
        console.print(start + shortened(label, room), style=STYLES.get(item.state), soft_wrap=True)
        if item.detail and item.detail != "done before":
            for part in wrapped(clean(item.detail, 600), max(20, console.width - 6)):
                console.print(f"      {part}", style="red", soft_wrap=True)


def _start_of(found: ItemStatus, *, with_id: bool) -> str:
    id_ = f"{found.item.id:>4}  " if with_id else ""
    return f"{id_}{word_of(found.shown):<11}  {found.epochs or UNDEFINED:>7}  {_auc_text(found):<15}  "


def _auc_text(found: ItemStatus) -> str:
    """And which it is: that of the best epoch on the validation split, then that on the test split."""
    if found.auc is None:
        return UNDEFINED
    return f"{'test' if found.test_auc is not None else 'best val'} {number(found.auc)}"
