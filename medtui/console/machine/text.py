"""The texts of the Machine screen, as functions of values."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from engine.contract.machine.scheduler import SchedulerJob
from engine.contract.store.lock import LockState
from medtui.actions import BY_ID, Action
from medtui.client.smoke import Step
from medtui.console.machine.storage_text import count_of_states
from medtui.machine.checks import Check
from medtui.machine.orphans import OrphanedEngine
from medtui.machine.storage import Storage
from medtui.text import clean

WORST_FIRST = ("fail", "warn", "pass", "skip")
MARKS = {"pass": ("✓", "green"), "warn": ("!", "bold yellow"), "fail": ("✗", "bold red"), "skip": ("·", "dim")}


@dataclass(frozen=True)
class WorkspaceState:
    root: str
    lock: LockState
    holder_lives: bool | None
    orphans: tuple[OrphanedEngine, ...]
    scheduler: SchedulerJob | None


def workspace_text(
    state: WorkspaceState, width: int, actions: Mapping[str, Action] = BY_ID, storage: Storage | None = None
) -> Text:
    """`storage`: what is known of its runs."""
    parts = [_lock_text(state, width), _orphans_text(state, actions)]
    if state.orphans:  # to act on, so that it is seen first
        parts.reverse()
    if storage is not None and storage.runs is not None:
        parts.append(Text.assemble(("runs    ", "bold"), count_of_states(storage.runs)))
    return Text("\n").join([Text(clean(state.root, 200), "bold"), *parts])


def _lock_text(state: WorkspaceState, width: int) -> Text:
    text = Text("lock    ", "bold", end="")
    holder = state.lock.holder
    if not state.lock.held:
        words = "free" if state.lock.held is False else f"unknown: {clean(state.lock.trouble, 200)}"
        return text.append(words, "not bold green")
    if holder is None:
        return text.append(f"held by {clean(str(state.lock), 200)}", "not bold yellow")
    lives = {True: "alive", False: "gone; the kernel frees the lock with its last process", None: "on another host"}
    words, host = f"engine {holder.pid}, {lives[state.holder_lives]}", f"on {clean(holder.host, 60)}"
    text.append(words, "not bold yellow")
    text.append(f", {host}\n" if len(words) + len(host) + 10 <= width else f"\n        {host}\n", "not bold")
    if holder.is_without_runner:
        text.append(f"        of {clean(str(holder.owner), width - 19)}, no runner\n", "not bold yellow")
    text.append(f"        since {holder.since_text}\n", "not bold")
    run = clean(holder.run or "preparing a run", 200)
    return text.append(run if len(run) <= width else "…" + run[1 - width :], "not bold")  # a run's hash is at its end


def _orphans_text(state: WorkspaceState, actions: Mapping[str, Action]) -> Text:
    text = Text("orphans ", "bold")
    if state.scheduler is not None:
        text.append(f"not ended here: {clean(str(state.scheduler), 80)} manages its processes\n", "not bold dim")
    if not state.orphans:
        return text.append("none", "not bold green")
    count, end = len(state.orphans), actions["machine.end_orphan"].key
    words = f"{count} engine{'s' * (count != 1)}; {end} ends {'one' if count > 1 else 'it'}"
    return text.append(words, "not bold yellow")


def checks_text(checks: list[Check], width: int) -> Text:
    """One line per check, and its remedy, those to act on first; long text continues below, indented."""
    text = Text()
    failed = sum(check.level == "fail" for check in checks)
    warned = sum(check.level == "warn" for check in checks)
    text.append(f"{len(checks)} checks, {failed} failed, {warned} warning{'s' * (warned != 1)}\n", "bold")
    for check in sorted(checks, key=lambda check: WORST_FIRST.index(check.level)):
        mark, style = MARKS[check.level]
        text.append(f"{mark} {check.level:<5}", style)
        text.append(f"{clean(check.title, 30):<17} ", "bold")
        text.append(_indented(clean(check.found, 400), width, first=25), "" if check.level != "fail" else "red")
        if check.remedy:
            text.append("       ")
            text.append(_indented(f"→ {clean(check.remedy, 400)}", width, first=7), "yellow")
    text.rstrip()
    return text


def _indented(words: str, width: int, first: int) -> str:
    """Text after `first` columns of a line, continued below with an indent of seven."""
    width = max(30, width)
    lines = textwrap.wrap(
        words,
        width,
        initial_indent=" " * first,
        subsequent_indent=" " * 7,
        break_on_hyphens=False,
        break_long_words=max(map(len, words.split()), default=0) > width - 7,  # a path stays in one line where possible
    )
    return "\n".join(lines)[first:] + "\n"


def smoke_text(steps: Sequence[Step], words: str = "", *, failed: bool = False) -> Text:
    """The steps so far; `words`: how it ended, "" while it runs."""
    text = Text("\nsmoke test\n", "bold")
    for step in steps:
        text.append("✓ ", "green")
        text.append(f"{clean(step.what, 60)} {step.seconds:.1f} s\n")
    if words:
        text.append(f"{'✗' if failed else '✓'} {clean(words, 600)}\n", "bold red" if failed else "")
    else:
        text.append("running …\n", "dim")
    return text
