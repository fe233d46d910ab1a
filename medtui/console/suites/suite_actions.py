"""What can be done with a suite, the queue and one of their runs. Each asks first where something begins or ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.contract.data.archives import offline
from engine.contract.wire.errors import UsageError
from medtui.cluster.stopping import describe, stop_jobs
from medtui.cluster.submit import refuse_on_cluster
from medtui.console.shell.app_context import AppContext
from medtui.console.shell.dialogs import Answer, Question
from medtui.console.shell.engines import who
from medtui.console.suites.choose import ChooseSuite
from medtui.sentences import Suites
from medtui.suites import requests
from medtui.suites.detached import Started, start_runner
from medtui.suites.estimate import describe_items, preview
from medtui.suites.plan import Plan, plan_of
from medtui.suites.settling import work_of
from medtui.suites.slots import Slots
from medtui.suites.status import ItemStatus, describe_counts
from medtui.suites.store import Store, queue_of
from medtui.suites.suite_file import read_suite, suite_files
from medtui.text import clean

START: list[Answer] = [("no", "not now"), ("yes", "start")]


async def start_new(context: AppContext) -> Started | None:
    """Choose a file, see what its runs take, and start them. Raises MedtuiError."""
    root = context.workspace.root
    files = await asyncio.to_thread(suite_files, context.workspace)
    if not files:
        raise UsageError(Suites.NO_FILES, folder=root)
    file = str(files[0]) if len(files) == 1 else await context.push_screen_wait(ChooseSuite(files, root))
    if file is None:
        return None
    plan, store, words = await asyncio.to_thread(_planned, context, Path(file))
    question, *details = words
    if await context.push_screen_wait(Question(f"{question}. Start it?", START, details, likely="yes")) != "yes":
        return None
    return await asyncio.to_thread(_begin, plan, store)


def _planned(context: AppContext, file: Path) -> tuple[Plan, Store, list[str]]:
    plan = plan_of(read_suite(file), context.data, offline=offline())
    requests.refuse_impossible_runs(plan)
    store = Store(context.workspace, plan.name)
    requests.refuse_second_runner(store)
    refuse_on_cluster(store)
    return plan, store, preview(plan, store, requests.slots_of_plan(plan)).sentences()


def _begin(plan: Plan, store: Store) -> Started:
    requests.begin_plan(plan, store)
    return start_runner(store)


async def resume(context: AppContext, store: Store) -> Started | None:
    """Continue a suite, or the queue; not one whose jobs a cluster has. Raises MedtuiError."""
    requests.refuse_second_runner(store)
    await asyncio.to_thread(refuse_on_cluster, store)
    slots, words = await asyncio.to_thread(_left, store)
    details = [*words, f"slots  {slots}", "It continues when you quit this console."]
    question = Question(f"Start {store.owner}?", START, details, likely="yes")
    if await context.push_screen_wait(question) != "yes":
        return None
    return await asyncio.to_thread(start_runner, store)


def _left(store: Store) -> tuple[Slots, list[str]]:
    """What is left of it, and what that takes. Raises UsageError where nothing is."""
    work = work_of(store)
    again = set(requests.to_retry(store, work, failed=False))
    again |= {item.id for item in work.of("pending", "claimed", "running")}
    left = [item for item in work.items.values() if item.id in again]
    if not left:
        counts = describe_counts(work, store.workspace).rstrip(".")
        raise UsageError(Suites.NOTHING_LEFT, owner=store.owner, counts=counts)
    slots = requests.slots_of_items(left)
    return slots, [f"runs  {len(left)}", *describe_items(left, store.workspace, slots)]


async def end(context: AppContext, store: Store) -> str | None:
    """Stop all runs of the suite or the queue. Raises MedtuiError."""
    holder = store.runner()
    if holder is None and store.journal().work.of("submitted"):
        return await _end_jobs(context, store)
    if holder is None:
        return await _end_orphans(context, store)
    answers: list[Answer] = [
        ("no", "leave it"),
        ("stop", "stop its runs after their batch"),
        ("finish", "let the live runs finish, start no more"),
    ]
    words = f"Stop {store.owner}, which runner {holder.pid} is working on? It can be continued."
    answer = await context.push_screen_wait(Question(words, answers))
    if answer not in ("stop", "finish"):
        return None
    what: requests.Request = "stop" if answer == "stop" else "finish"
    await asyncio.to_thread(requests.ask_runner, store, what, who())
    return f"{store.owner} was asked to {what}."


async def _end_orphans(context: AppContext, store: Store) -> str | None:
    """Of a suite whose runner is gone. Raises UsageError where none of its engines trains."""
    if not (orphans := store.orphans()):
        raise requests.not_running(store)
    runs = ", ".join(holder.run or f"engine {holder.pid}" for holder in orphans)
    answers: list[Answer] = [("no", "leave it"), ("stop", "stop its runs after their batch")]
    words = f"Stop {store.owner}, whose runner is gone while it trains {runs}? It can be continued."
    if await context.push_screen_wait(Question(words, answers)) != "stop":
        return None
    found = await asyncio.to_thread(requests.ask_orphans, store, "stop", who())
    return " ".join(found.sentences)


async def _end_jobs(context: AppContext, store: Store) -> str | None:
    """Of a suite on a cluster."""
    answers: list[Answer] = [
        ("no", "leave it"),
        ("stop", "stop its runs after their batch, cancel what waits"),
        ("finish", "let the live runs finish, cancel what waits"),
    ]
    journal = store.journal()
    words = f"Stop {store.owner}, whose jobs {journal.work.scheduler} has? It can be continued."
    answer = await context.push_screen_wait(Question(words, answers))
    if answer not in ("stop", "finish"):
        return None
    is_finish = answer == "finish"
    found = await asyncio.to_thread(stop_jobs, store, journal, abort=False, finish=is_finish, by=who())
    return " ".join(describe(found, abort=False))


def retry(store: Store, status: ItemStatus, start_key: str) -> str:
    """Have a run done again; of a suite on a cluster once no job of it is left. Raises MedtuiError."""
    refuse_on_cluster(store)
    if not requests.retry(store, [status.item.id]):
        return f"Only a run that failed, or was stopped, aborted or killed, can be retried; this one is {status.shown}."
    follows = "its runner starts it" if store.runner() is not None else f"{start_key} starts it"
    return f"To be retried: {status.item.label}; {follows}."


async def remove(context: AppContext, status: ItemStatus) -> str | None:
    """Take an entry out of the queue. Raises MedtuiError."""
    words = f"Remove entry {status.item.id} from the queue: {clean(status.item.label, 200)}?"
    question = Question(words, [("no", "leave it"), ("yes", "remove it")])
    if await context.push_screen_wait(question) != "yes":
        return None
    item = await asyncio.to_thread(requests.remove_from_queue, context.workspace, status.item.id)
    return f"Removed entry {item.id}: {item.label}."


def move(context: AppContext, status: ItemStatus, by: int) -> None:
    """Among those that wait; where there is no such place, nothing changes. Raises MedtuiError."""
    waiting = [one.id for one in queue_of(context.workspace).journal().work.of("pending")]
    at = waiting.index(status.item.id) + 1 if status.item.id in waiting else 0
    if 0 < at + by <= len(waiting) or at == 0:
        requests.move_in_queue(context.workspace, status.item.id, max(1, at + by))
