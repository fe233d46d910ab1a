"""What a person asks of a suite or the queue, from the shell or the console: each is written to its journal."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from shlex import quote
from typing import Literal

from engine.contract.machine.hardware import refuse_impossible
from engine.contract.recipe.reader import recipe_from_values
from engine.contract.recipe.recipe import Recipe
from engine.contract.store.lock import Holder, LockState
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError, UsageError, WorkspaceLocked
from engine.contract.wire.text import shortened
from medtui.client.control import COMMANDS, append_command, commandable_record
from medtui.sentences import Suites
from medtui.suites.entries import distinguished
from medtui.suites.journal import WorkJournal
from medtui.suites.plan import Plan, planned
from medtui.suites.settling import gone
from medtui.suites.slots import Slots, slots_for
from medtui.suites.store import QUEUE, Store, queue_of
from medtui.suites.work import ENDED_ON_REQUEST, Item, Work
from medtui.text import capitalised

Request = Literal["finish", "stop", "abort"]

SHOWN_IDS = 20  # of the entries of the queue, in a sentence

# ---- a runner -------------------------------------------------------------------------------------------------------


def refuse_second_runner(store: Store) -> None:
    """Raises WorkspaceLocked, also where something else holds the workspace."""
    state = LockState.read(store.workspace.lock_file)
    if (holder := store.runner_in(state)) is not None:
        raise has_runner(store, holder)
    if state.held:
        raise WorkspaceLocked(Suites.HELD, owner=store.owner, holder=state)


def has_runner(store: Store, holder: Holder) -> WorkspaceLocked:
    process = f"process {holder.pid} on {holder.host}, since {holder.since_text}"
    return WorkspaceLocked(Suites.RUNNER_HOLDS, owner=store.owner, process=process, command=store.status_command)


def ask_runner(store: Store, what: Request, by: str) -> Holder:
    """Ask the runner, or a search's coordinator, through the journal, which it reads all the time.

    Raises UsageError where there is none.
    """
    holder = store.worker()
    if holder is None:
        raise not_running(store)
    store.journal().write({"event": "asked", "runner": holder.engine, "what": what, "by": by})
    return holder


def require_plan(store: Store, work: Work) -> None:
    """Raises UsageError for a suite whose journal is empty or damaged: it is not one whose runs are all done."""
    if not work.planned:
        raise UsageError(Suites.NO_PLAN, name=store.name, path=store.folder)


@dataclass(frozen=True)
class Orphans:
    """What became of a request to engines whose runner is gone."""

    sentences: tuple[str, ...]  # one for each
    all_asked: bool


def ask_orphans(store: Store, what: Request, by: str) -> Orphans:
    """Ask engines whose runner is gone, each through its run's files. Raises UsageError where there is none."""
    if not (orphans := store.orphans()):
        raise not_running(store)
    if what != "finish":
        _note_stop(store, orphans, what, by)
    answers = [_ask_orphan(store, holder, what, by) for holder in orphans]
    return Orphans(tuple(words for words, _ in answers), all(asked for _, asked in answers))


def _note_stop(store: Store, orphans: Sequence[Holder], what: Request, by: str) -> None:
    """The next runner must not take their end for one that was asked of a single run, which is not resumed."""
    slots, journal = {holder.slot for holder in orphans}, store.journal()
    items = [item for item in journal.work.of("claimed", "running") if item.slot in slots]
    runners = dict.fromkeys(item.runner for item in items if item.runner is not None)
    journal.write(*({"event": "asked", "runner": runner, "what": what, "by": by} for runner in runners))


def _ask_orphan(store: Store, holder: Holder, what: Request, by: str) -> tuple[str, bool]:
    """A sentence, and whether it could be asked."""
    if what == "finish":
        return f"{capitalised(str(holder))} has no runner: nothing is started after it.", True
    if holder.run is None:
        return f"{capitalised(str(holder))} has no runner, and cannot be asked yet: ask again in a minute.", False
    run = RunDirectory(store.workspace.outputs / holder.run)
    try:
        engine = commandable_record(run).engine_id
        append_command(run.control, COMMANDS[what](id=secrets.token_hex(8), by=by, engine=engine))
    except MedtuiError as error:  # it has just ended, or is somebody else's
        return str(error), False
    return f"{capitalised(str(holder))} has no runner: it was asked to {what} after its batch.", True


# ---- a suite --------------------------------------------------------------------------------------------------------


def begin_plan(plan: Plan, store: Store, *, retry: bool = False, joins: bool = False) -> WorkJournal:
    """Write down the runs that a runner is to do. Raises WorkspaceLocked or OutputError.

    `joins`: other runs that the suite has stay in it.
    """
    refuse_second_runner(store)
    journal = store.make()
    items = [*others_of(plan, journal.work), *plan.items] if joins else plan.items
    journal.write({"event": "planned", "items": [item.values() for item in items]})
    retry_ended(store, journal, failed=retry)
    return journal


def others_of(plan: Plan, work: Work) -> list[Item]:
    """The runs that a suite has and this plan of it has not, such as those of other seeds."""
    planned = {item.id for item in plan.items}
    return [item for item in work.items.values() if item.id not in planned]


def refuse_impossible_runs(plan: Plan) -> None:
    """Raises MedtuiError for a run that cannot be done on this machine."""
    for recipe in plan.recipes:
        refuse_impossible(recipe)


def slots_of_plan(plan: Plan, requested: int | None = None) -> Slots:
    return slots_for(list(zip((item.label for item in plan.items), plan.recipes, strict=True)), requested)


def slots_of_items(items: Iterable[Item], requested: int | None = None) -> Slots:
    """Of runs as the journal has them. Raises UsageError or RecipeError."""
    return slots_for([(item.label, recipe_from_values(item.recipe)) for item in items], requested)


# ---- runs that ended ------------------------------------------------------------------------------------------------


def to_retry(store: Store, work: Work, *, failed: bool) -> list[str]:
    """Ids of what is to be done again: what ended on request, what failed if asked for, what was deleted since.

    Of the queue only what was ended together with all: an entry that was stopped or deleted alone is done with.
    """
    is_queue = store.name == QUEUE
    asked = [one for one in work.of(*ENDED_ON_REQUEST) if one.pruned is None]
    ended = [one.id for one in asked if one.with_all or not is_queue]
    return [*ended, *gone(store, work), *(one.id for one in work.of("failed") if failed)]


def retry_ended(store: Store, journal: WorkJournal, *, failed: bool) -> int:
    """Have `to_retry` done again; how many that are."""
    again = to_retry(store, journal.work, failed=failed)
    if again:
        journal.write({"event": "retried", "ids": again})
    return len(again)


def retry(store: Store, ids: Sequence[str]) -> list[Item]:
    """Have these runs done again that failed or ended on request; those that will be. Raises OutputError."""
    with store.make().writing() as writer:
        again = [one for one in writer.work.of("failed", *ENDED_ON_REQUEST) if one.id in ids]
        if again:
            writer.add({"event": "retried", "ids": [one.id for one in again]})
    return again


def describe_next(store: Store, work: Work, command: str | None = None) -> str:
    """`COMMAND` continues: what does what is left, as the end of a sentence; empty where nothing is left to do.

    `command`: that continues it, where that is not the store's own. Of a search it is not known whether it would ask
    for more runs.
    """
    command = command if command is not None else store.continue_command(work)
    open_ = work.of("pending", "submitted", "claimed", "running")
    if store.is_search or open_ or to_retry(store, work, failed=False):
        return f"`{command}` continues"
    return f"`{command} --retry` tries again what failed" if work.of("failed") else ""


def not_running(store: Store) -> UsageError:
    words = describe_next(store, store.journal().work)
    return UsageError(Suites.NOT_RUNNING, owner=store.owner, remedy=f"{words}." if words else "")


# ---- the queue ------------------------------------------------------------------------------------------------------


def add_to_queue(
    workspace: Workspace, recipe: Recipe, data: Sequence[str] = (), *, offline: bool = False, named: Sequence[str] = ()
) -> tuple[Item, int]:
    """Add a run to the end of the queue; and how many wait before it. Raises MedtuiError.

    `named`: fields that tell it from other runs of its recipe, shown with it.
    """
    refuse_impossible(recipe)
    [item] = distinguished(planned("queue", [recipe], data, offline=offline, named=named).items)
    with queue_of(workspace).make().writing() as writer:
        id_ = str(writer.work.added + 1)
        writer.add({"event": "added", "item": {**item.values(), "id": id_}})
        ahead = len(writer.work.of("pending")) - 1
        return replace(item, id=id_), ahead


def describe_added(item: Item, ahead: int) -> str:
    runs = "nothing waits before it" if ahead == 0 else f"{ahead} run{'s' * (ahead != 1)} before it"
    return f"Entry {item.id}: {item.label}; {runs}."


def move_in_queue(workspace: Workspace, entry: str, to: int) -> tuple[Item, int]:
    """Move a waiting entry to a place, from 1, among those that wait; and where it is now. Raises UsageError."""
    with queue_of(workspace).make().writing() as writer:
        item = _waiting(writer.work, entry, "moved")
        writer.add({"event": "moved", "id": item.id, "to": to})
        return _distinguished(writer.work, item.id), [one.id for one in writer.work.of("pending")].index(item.id) + 1


def remove_from_queue(workspace: Workspace, entry: str) -> Item:
    """Raises UsageError for an entry that there is not, or that waits no more."""
    with queue_of(workspace).make().writing() as writer:
        _waiting(writer.work, entry, "removed")
        item = _distinguished(writer.work, entry)
        writer.add({"event": "removed", "id": item.id})
        return item


def _distinguished(work: Work, entry: str) -> Item:
    return next(one for one in distinguished(work.items.values()) if one.id == entry)


def _which_wait(work: Work) -> str:
    """By their numbers."""
    ids = [one.id for one in work.of("pending")]
    shown = ", ".join([*ids[:SHOWN_IDS], *["…"] * (len(ids) > SHOWN_IDS)])
    return f"its waiting entr{'y is' if len(ids) == 1 else 'ies are'} {shown}" if ids else "none is waiting in it"


def _waiting(work: Work, entry: str, action: str) -> Item:
    item = work.items.get(entry)
    if item is None:
        raise UsageError(Suites.NO_SUCH_ITEM, found=shortened(entry), waiting=_which_wait(work))
    if item.state != "pending":
        remedy = (
            f"`medtui stop {quote(item.run)}` ends it." if not item.over and item.run else "See `medtui queue list`."
        )
        raise UsageError(Suites.ITEM_RUNNING, item=f"Entry {item.id}", state=item.state, action=action, remedy=remedy)
    return item
