"""`medtui suite status` and `medtui queue list`: how far each run is."""

from __future__ import annotations

import sys

from rich.cells import cell_len

from engine.contract.store.workspace import Workspace
from medtui.plain.suite import STYLES
from medtui.rich_output import print_wrapped, stdout_console, wrapped
from medtui.sentences import Suites
from medtui.suites.status import ItemStatus, describe_counts, statuses_of, word_of
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
    idle = "complete" if done else f"no runner; `{store.continue_command(work)}` continues"
    if work.of("submitted"):
        idle = f"on {work.scheduler}"
    words = str(holder) if holder is not None else f"{store.owner}: {idle}"
    print_wrapped(console, capitalised(words), style="bold")
    print_items(list(work.items.values()), store.workspace)
    print_wrapped(console, describe_counts(work, store.workspace))


def print_items(items: list[Item], workspace: Workspace, *, with_id: bool = False) -> None:
    """A line for each run: state, epochs, AUC, what it is; and below it why it failed."""
    console = stdout_console()
    width = console.width if sys.stdout.isatty() else 10_000
    for found in statuses_of(items, workspace):
        item = found.item
        id_ = f"{item.id:>4}  " if with_id else ""
        line = f"{id_}{word_of(found.shown):<11}  {found.epochs or UNDEFINED:>7}  {_auc_text(found):<15}  "
        room = max(10, width - cell_len(line))
        console.print(line + shortened(clean(item.label, 400), room), style=STYLES.get(item.state), soft_wrap=True)
        if item.detail and item.detail != "done before":
            for part in wrapped(clean(item.detail, 600), max(20, console.width - 6)):
                console.print(f"      {part}", style="red", soft_wrap=True)


def _auc_text(found: ItemStatus) -> str:
    """And which it is: that of the best epoch on the validation split, then that on the test split."""
    if found.auc is None:
        return UNDEFINED
    return f"{'test' if found.test_auc is not None else 'best val'} {number(found.auc)}"
