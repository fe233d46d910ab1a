"""What the run uses of the machine, as small histories."""

from __future__ import annotations

from textwrap import wrap

from rich.cells import cell_len
from rich.text import Text

from medtui.console.shell.load_history import LoadSample
from medtui.console.widgets.bars import sparkline
from medtui.text import clean

NAME = 5  # columns


def machine_text(samples: tuple[LoadSample, ...], width: int, rows: int) -> Text:
    """A line each for processor, memory and every GPU: name, the last minutes, the value now."""
    if not samples:
        return Text("no values yet", style="dim")
    now = samples[-1]
    lines = [
        _line("CPU", [one.cpu for one in samples], f"{now.cpu:.0f} %", width),
        _line("RAM", [float(one.memory) for one in samples], f"{now.memory / 1e9:.1f} GB", width),
    ]
    if now.gpus is not None and now.gpus.words:
        for at, words in enumerate(wrap(now.gpus.words, max(12, width - NAME), break_on_hyphens=False)):
            lines.append(_line("" if at else "GPU", [], words, width))
    for number, gpu in enumerate(now.gpus.devices if now.gpus is not None else ()):
        if gpu.trouble:
            lines.append(_line(f"GPU{number}", [], f"cannot be reached: {clean(gpu.trouble, 80)}", width))
            continue
        loads = [_load(one, number) for one in samples] if gpu.load is not None else []
        values = [f"{gpu.load} %" if gpu.load is not None else "load unknown"]
        values += [f"{gpu.memory_used / 1e9:.1f} GB"] if gpu.memory_used is not None else []
        values += [f"{gpu.temperature} °C"] if gpu.temperature is not None else []
        values += [f"{gpu.power:.0f} W"] if gpu.power is not None else []
        lines.append(_line(f"GPU{number}", loads, "  ".join(values), width, highest=100.0))
    return Text("\n").join(lines[: max(1, rows)])


def _load(sample: LoadSample, number: int) -> float:
    """A load of the past; of a time at which it was not known, as if idle."""
    devices = sample.gpus.devices if sample.gpus is not None else ()
    return float(devices[number].load or 0) if number < len(devices) else 0.0


def _line(name: str, values: list[float], words: str, width: int, highest: float | None = None) -> Text:
    text = Text(f"{name:<{NAME}}", style="bold", no_wrap=True)
    room = width - NAME - cell_len(words) - 2
    if values and room > 3:
        newest = tuple(values[-room:])
        text.append(f"{sparkline(newest, 0.0, highest or max(*newest, 1e-9) * 1.1):<{room}} ", "not bold cyan")
    return text.append(words, "not bold")
