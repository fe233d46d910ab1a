"""The texts of the Machine screen, as functions of values."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from engine.contract.lock import Holder
from engine.contract.scheduler import SchedulerJob
from medtui.console.live_text import sparkline
from medtui.machine.checks import Check
from medtui.machine.ghosts import Ghost
from medtui.machine.hardware import Hardware
from medtui.text import clean

MARKS = {"pass": ("✓", "green"), "warn": ("!", "bold yellow"), "fail": ("✗", "bold red")}


@dataclass(frozen=True)
class WorkspaceState:
    root: str
    locked: bool
    holder: Holder | None
    holder_lives: bool | None
    ghosts: tuple[Ghost, ...]
    scheduler: SchedulerJob | None


def hardware_text(past: list[Hardware], width: int, rows: int) -> Text:
    """A line for each core where `rows` allows it, else a block for each."""
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
    _line(text, "memory", f"{now.memory_used / 1e9:.1f} of {now.memory_total / 1e9:.1f} GB", used, width)
    known = now.disk_free is not None and now.disk_total is not None
    free = f"{(now.disk_free or 0) / 1e9:.1f} of {(now.disk_total or 0) / 1e9:.1f} GB free" if known else "unknown"
    _line(text, "disk", free, [], width)
    if not now.gpus:
        _line(text, "GPU", "none seen", [], width)
    for index, gpu in enumerate(now.gpus):
        _line(text, f"GPU {index}", clean(gpu.name, 30), [], width)
        memory = f"{gpu.memory_used / 1e9:.1f} GB" if gpu.memory_used is not None else "–"
        warm = f"{gpu.temperature} °C" if gpu.temperature is not None else "–"
        loads = [(one.gpus[index].load or 0) / 100 for one in past if index < len(one.gpus)]
        _line(text, "", f"{gpu.load if gpu.load is not None else '–'} %, {memory}, {warm}", loads, width)
    text.rstrip()
    return text


def _line(text: Text, title: str, words: str, shares: list[float], width: int) -> None:
    """A title, a value, and the last minutes in the room that is left."""
    text.append(f"{title:<7}", "bold")
    text.append(words)
    room = width - 7 - cell_len(words) - 1
    if shares and room > 0:
        text.append(" " + sparkline(tuple(shares[-room:])), "cyan")
    text.append("\n")


def _gauge(value: float, total: float, width: int) -> str:
    full = round(width * min(1.0, value / total)) if total else 0
    return "█" * full + "░" * (width - full)


def workspace_text(state: WorkspaceState, width: int) -> Text:
    text = Text()
    text.append(f"{clean(state.root, 200)}\n", "bold")
    text.append("lock   ", "bold")
    if not state.locked:
        text.append("free\n", "green")
    elif state.holder is None:
        text.append("held by a process that has not said its name\n", "yellow")
    else:
        lives = {True: "alive", False: "gone; the kernel frees the lock with its last process", None: "on another host"}
        text.append(f"engine {state.holder.pid}, {lives[state.holder_lives]}\n", "yellow")
        text.append(f"       on {clean(state.holder.host, 60)}\n       since {state.holder.since_words}\n")
        run = clean(state.holder.run or "preparing a run", 200)
        text.append(f"{run if len(run) <= width else '…' + run[1 - width :]}\n")  # a run's hash is at its end
    text.append("ghosts ", "bold")
    if state.scheduler is not None:
        text.append(f"not ended here: {clean(str(state.scheduler), 80)} looks after its processes\n", "dim")
    if not state.ghosts:
        text.append("none", "green")
    else:
        text.append(f"{len(state.ghosts)} leftover engine{'s' * (len(state.ghosts) != 1)}; X ends one", "yellow")
    return text


def checks_text(checks: list[Check], width: int) -> Text:
    """A line for each, and its remedy; what is too long goes on below, indented."""
    text = Text()
    failed = sum(check.level == "fail" for check in checks)
    warned = sum(check.level == "warn" for check in checks)
    text.append(f"{len(checks)} checks, {failed} failed, {warned} to look at\n", "bold")
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
    """Words after `first` columns of a line, going on below by seven."""
    width = max(30, width)
    lines = textwrap.wrap(
        words,
        width,
        initial_indent=" " * first,
        subsequent_indent=" " * 7,
        break_on_hyphens=False,
        break_long_words=max(map(len, words.split()), default=0) > width - 7,  # a path stays whole where it can
    )
    return "\n".join(lines)[first:] + "\n"
