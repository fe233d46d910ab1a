"""The texts of hardware and diagnostics in Machine, as functions of values."""

from __future__ import annotations

from rich.text import Text

from medtui.console.live_text import sparkline
from medtui.machine.checks import Check
from medtui.machine.hardware import Hardware
from medtui.text import clean

MARKS = {"pass": ("✓", "green"), "warn": ("!", "bold yellow"), "fail": ("✗", "bold red")}


def hardware_text(past: list[Hardware], width: int) -> Text:
    now = past[-1]
    text = Text(no_wrap=True, overflow="ellipsis")
    spark = max(8, width - 14)
    loads = tuple(one.load for one in past[-spark:])
    text.append(f"CPU {now.load:5.1f} %\n", "bold")
    text.append(f"{sparkline(loads, 0, 100)}\n", "cyan")
    for number, load in enumerate(now.cores):
        text.append(f" {number:>2} {_gauge(load, 100, max(6, width - 12))} {load:3.0f} %\n")
    text.append("\nmemory ", "bold")
    text.append(f"{now.memory_used / 1e9:.1f} of {now.memory_total / 1e9:.1f} GB\n")
    text.append(f"    {_gauge(now.memory_used, now.memory_total, max(6, width - 12))}\n")
    text.append(
        f"    {sparkline(tuple(one.memory_used / max(1, one.memory_total) for one in past[-spark:]))}\n", "cyan"
    )
    text.append("disk   ", "bold")
    if now.disk_free is None or now.disk_total is None:
        text.append("unknown\n")
    else:
        text.append(f"{now.disk_free / 1e9:.1f} of {now.disk_total / 1e9:.1f} GB free\n")
    if not now.gpus:
        text.append("GPU    ", "bold")
        text.append("none seen\n", "dim")
    for index, gpu in enumerate(now.gpus):
        memory = f"{gpu.memory_used / 1e9:.1f} GB" if gpu.memory_used is not None else "–"
        warm = f"{gpu.temperature} °C" if gpu.temperature is not None else "–"
        text.append(f"GPU {index} ", "bold")
        text.append(f"{clean(gpu.name, 30)}\n    {gpu.load if gpu.load is not None else '–'} %, {memory}, {warm}\n")
        loads = tuple(float(one.gpus[index].load or 0) for one in past[-spark:] if index < len(one.gpus))
        text.append(f"    {sparkline(loads, 0, 100)}\n", "cyan")
    return text


def _gauge(value: float, total: float, width: int) -> str:
    full = round(width * min(1.0, value / total)) if total else 0
    return "█" * full + "░" * (width - full)


def checks_text(checks: list[Check]) -> Text:
    text = Text()
    failed = sum(check.level == "fail" for check in checks)
    warned = sum(check.level == "warn" for check in checks)
    text.append(f"{len(checks)} checks, {failed} failed, {warned} to look at\n\n", "bold")
    for check in checks:
        mark, style = MARKS[check.level]
        text.append(f"{mark} {check.level:<5}", style)
        text.append(f"{clean(check.title, 30):<17} ", "bold")
        text.append(f"{clean(check.found, 400)}\n", "" if check.level != "fail" else "red")
        if check.remedy:
            text.append(f"        → {clean(check.remedy, 400)}\n", "yellow")
    return text
