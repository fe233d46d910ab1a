"""The texts of the Machine screen, as functions of values."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from engine.contract.machine.scheduler import SchedulerJob
from engine.contract.store.lock import LockState
from medtui.actions import BY_ID, Action
from medtui.console.widgets.bars import sparkline
from medtui.machine.checks import Check
from medtui.machine.hardware import Hardware
from medtui.machine.orphans import OrphanedEngine
from medtui.text import clean

MARKS = {"pass": ("✓", "green"), "warn": ("!", "bold yellow"), "fail": ("✗", "bold red")}


@dataclass(frozen=True)
class WorkspaceState:
    root: str
    lock: LockState
    holder_lives: bool | None
    orphans: tuple[OrphanedEngine, ...]
    scheduler: SchedulerJob | None


def hardware_text(past: list[Hardware], width: int, rows: int) -> Text:
    """One line per core where `rows` allows it, else one block per core."""
    now = past[-1]
    text = Text(no_wrap=True, overflow="ellipsis")
    _line(text, "CPU", f"{now.load:5.1f} %", [one.load / 100 for one in past], width)
    if len(now.cores) + 3 + 2 * max(1, len(now.gpus)) <= rows:
        for number, load in enumerate(now.cores):
            text.append(f" {number:>5} {_gauge(load, 100, max(6, width - 14))} {load:3.0f} %\n")
    else:
        blocks = sparkline(now.cores, 0, 100)
        for start in range(0, len(blocks), max(1, width - 7)):
            text.append(f"{'cores' if start == 0 else '':<7}{blocks[start : start + width - 7]}\n")
    used = [one.memory_used / max(1, one.memory_total) for one in past]
    memory = f"{now.memory_used / 1e9:.1f} of {now.memory_total / 1e9:.1f} GB" if now.memory_total else "unknown"
    _line(text, "memory", memory, used, width)
    known = now.disk_free is not None and now.disk_total is not None
    free = f"{(now.disk_free or 0) / 1e9:.1f} of {(now.disk_total or 0) / 1e9:.1f} GB free" if known else "unknown"
    _line(text, "disk", free, [], width)
    if not now.gpus:
        _line(text, "GPU", "none found", [], width)
    for index, gpu in enumerate(now.gpus):
        _line(text, f"GPU {index}", clean(gpu.name, 30), [], width)
        memory = f"{gpu.memory_used / 1e9:.1f} GB" if gpu.memory_used is not None else "–"
        warm = f"{gpu.temperature} °C" if gpu.temperature is not None else "–"
        loads = [(one.gpus[index].load or 0) / 100 for one in past if index < len(one.gpus)]
        _line(text, "", f"{gpu.load if gpu.load is not None else '–'} %, {memory}, {warm}", loads, width)
    text.rstrip()
    return text


def _line(text: Text, title: str, words: str, fractions: list[float], width: int) -> None:
    """A title, a value, and the last minutes in the remaining width."""
    text.append(f"{title:<7}", "bold")
    text.append(words)
    available = width - 7 - cell_len(words) - 1
    if fractions and available > 0:
        text.append(" " + sparkline(tuple(fractions[-available:])), "cyan")
    text.append("\n")


def _gauge(value: float, total: float, width: int) -> str:
    full = round(width * min(1.0, value / total)) if total else 0
    return "█" * full + "░" * (width - full)


def workspace_text(state: WorkspaceState, width: int, actions: Mapping[str, Action] = BY_ID) -> Text:
    text = Text()
    text.append(f"{clean(state.root, 200)}\n", "bold")
    text.append("lock    ", "bold")
    holder = state.lock.holder
    if not state.lock.held:
        text.append("free\n" if state.lock.held is False else f"unknown: {clean(state.lock.trouble, 200)}\n", "green")
    elif holder is None:
        text.append(f"held by {clean(str(state.lock), 200)}\n", "yellow")
    else:
        lives = {True: "alive", False: "gone; the kernel frees the lock with its last process", None: "on another host"}
        text.append(f"engine {holder.pid}, {lives[state.holder_lives]}\n", "yellow")
        text.append(f"        on {clean(holder.host, 60)}\n        since {holder.since_text}\n")
        run = clean(holder.run or "preparing a run", 200)
        text.append(f"{run if len(run) <= width else '…' + run[1 - width :]}\n")  # a run's hash is at its end
    text.append("orphans ", "bold")
    if state.scheduler is not None:
        text.append(f"not ended here: {clean(str(state.scheduler), 80)} manages its processes\n", "dim")
    if not state.orphans:
        text.append("none", "green")
    else:
        count, end = len(state.orphans), actions["machine.end_orphan"].key
        text.append(f"{count} engine{'s' * (count != 1)}; {end} ends {'one' if count > 1 else 'it'}", "yellow")
    return text


def checks_text(checks: list[Check], width: int) -> Text:
    """One line per check, and its remedy; long text continues below, indented."""
    text = Text()
    failed = sum(check.level == "fail" for check in checks)
    warned = sum(check.level == "warn" for check in checks)
    text.append(f"{len(checks)} checks, {failed} failed, {warned} warning{'s' * (warned != 1)}\n", "bold")
    for check in checks:
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
