"""Processors, memory, disk and GPUs over the last minutes, as large as there is room."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Text

from medtui.console.widgets.bars import area_chart, sparkline
from medtui.machine.gpu import Gpu
from medtui.machine.hardware import Hardware
from medtui.text import clean

TITLE = 7  # columns
CHART, LOWEST = 24, 2  # lines of a chart at most, and at least


@dataclass(frozen=True)
class Part:
    """A title and its value now, what else there is to say, and the past as fractions."""

    title: str
    words: str
    history: list[float] = field(default_factory=list)  # none: nothing that has one
    below: list[str] = field(default_factory=list)  # lines
    weight: int = 1  # of the room for charts


def hardware_text(past: Sequence[Hardware], width: int, rows: int) -> Text:
    """Each core and each history as large as fits in `rows`; where that is little, one line per part."""
    now = past[-1]
    parts = [_memory(past), _disk(now, width), *_gpus(past, width)]
    lines = sum(1 + len(part.below) for part in parts)
    if lines + 2 > rows:
        parts = [_memory(past), _disk(now, width), *_gpus(past, width, short=True)]
        lines = sum(1 + len(part.below) for part in parts)
    parts = [_processors(past, width, rows - lines - 1), *parts]
    lines = sum(1 + len(part.below) for part in parts)
    heights = _chart_heights(parts, rows - lines)
    text = Text(no_wrap=True, overflow="ellipsis")
    for part, height in zip(parts, heights, strict=True):
        _append(text, part, width, height)
    text.rstrip()
    return text


def _chart_heights(parts: Sequence[Part], rows: int) -> list[int]:
    """Lines for the chart of each part, by its weight; 0 is none. GPUs, which are alike, have one each or none."""
    at, most = [number for number, part in enumerate(parts) if part.history], max(0, rows) // LOWEST
    at = at if len(at) <= most else at[: min(2, most)]
    weights = sum(parts[number].weight for number in at)
    heights = [0] * len(parts)
    for number in at:
        fraction = parts[number].weight / weights if rows // weights >= LOWEST else 1 / len(at)
        heights[number] = min(CHART, int(rows * fraction))
    return heights


def _append(text: Text, part: Part, width: int, height: int) -> None:
    """A part, its past as a chart of `height` lines below, or in the rest of its line where that is 0."""
    text.append(f"{part.title:<{TITLE}}", "bold")
    text.append(part.words)
    left = width - TITLE - cell_len(part.words) - 1
    if part.history and not height and left > 0:
        text.append(" " + sparkline(tuple(part.history[-left:])), "cyan")
    text.append("\n")
    if part.history and height:
        for line in area_chart(part.history, width, height):
            for span in re.findall("·+|[^·]+", line):
                text.append(span, "dim" if span[0] == "·" else "cyan")
            text.append("\n")
    for line in part.below:
        text.append(line + "\n")


def _processors(past: Sequence[Hardware], width: int, rows: int) -> Part:
    """`rows`: lines for the cores."""
    now = past[-1]
    words = f"{now.load:5.1f} %, {len(now.cores)} core{'s' * (len(now.cores) != 1)}" if now.cores else "unknown"
    if len(now.cores) <= rows:
        gauge = max(6, width - 14)
        below = [f" {number:>5} {_gauge(load, 100, gauge)} {load:3.0f} %" for number, load in enumerate(now.cores)]
    else:
        blocks, step = sparkline(now.cores, 0, 100), max(1, width - TITLE)
        starts = range(0, len(blocks), step)
        below = [f"{'cores' if at == 0 else '':<{TITLE}}{blocks[at : at + step]}" for at in starts]
    return Part("CPU", words, [one.load / 100 for one in past] if now.cores else [], below, weight=2)


def _memory(past: Sequence[Hardware]) -> Part:
    now = past[-1]
    if not now.memory_total:
        return Part("memory", "unknown")
    words = f"{now.memory_used / 1e9:.1f} of {now.memory_total / 1e9:.1f} GB"
    return Part("memory", words, [one.memory_used / max(1, one.memory_total) for one in past])


def _disk(now: Hardware, width: int) -> Part:
    if now.disk_free is None or not now.disk_total:
        return Part("disk", "unknown")
    words = f"{now.disk_free / 1e9:.1f} of {now.disk_total / 1e9:.1f} GB free"
    left = width - TITLE - len(words) - 1
    used = now.disk_total - now.disk_free
    return Part("disk", words + (f" {_gauge(used, now.disk_total, left)}" if left >= 6 else ""))


def _gpus(past: Sequence[Hardware], width: int, *, short: bool = False) -> list[Part]:
    """`short`: a line for each, whatever can be said of it."""
    now = past[-1].gpus
    if now.words:
        first, *rest = textwrap.wrap(now.words, max(20, width - TITLE), break_on_hyphens=False)
        return [Part("GPU", first, below=[" " * TITLE + line for line in rest])]
    return [_gpu(past, number, gpu, short=short) for number, gpu in enumerate(now.devices)]


def _gpu(past: Sequence[Hardware], number: int, gpu: Gpu, *, short: bool) -> Part:
    title, name = f"GPU {number}", clean(gpu.name, 40)
    if gpu.trouble and short:
        return Part(title, f"cannot be reached: {clean(gpu.trouble, 80)}")
    if gpu.trouble:
        return Part(title, name, below=[f"{'':<{TITLE}}cannot be reached: {clean(gpu.trouble, 80)}"])
    loads = [_load(one, number) / 100 for one in past] if gpu.load is not None else []
    values = [
        f"{gpu.load} %" if gpu.load is not None else "load unknown",
        f"{gpu.temperature} °C" if gpu.temperature is not None else "temperature unknown",
        f"{gpu.power:.0f} W" if gpu.power is not None else "power unknown",
    ]
    used = f"{gpu.memory_used / 1e9:.1f}" if gpu.memory_used is not None else ""
    if short:
        return Part(title, ", ".join([values[0], f"{used} GB" if used else "memory unknown", values[1]]), loads)
    memory = f"{used} of {gpu.memory_total / 1e9:.1f} GB" if used and gpu.memory_total else "memory unknown"
    below = [", ".join(values), memory]
    if gpu.processes:
        below.append("processes " + ", ".join(_process(one.pid, one.memory) for one in gpu.processes[:4]))
    return Part(title, name, loads, [f"{'':<{TITLE}}{line}" for line in below], weight=2)


def _load(one: Hardware, number: int) -> int:
    """A load of the past; of a time at which it was not known, as if idle."""
    devices = one.gpus.devices
    return (devices[number].load or 0) if number < len(devices) else 0


def _process(pid: int, memory: int | None) -> str:
    return f"{pid}" if memory is None else f"{pid} {memory / 1e9:.1f} GB"


def _gauge(value: float, total: float, width: int) -> str:
    full = round(width * min(1.0, value / total)) if total else 0
    return "█" * full + "░" * (width - full)
