"""The top line: what the engine is doing and who holds the workspace, in a glyph and a word."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from medtui.client.view import RunView
from medtui.text import clean, duration, shortened

GLYPHS = {
    "idle": "○",
    "starting": "◌",
    "preparing": "◌",
    "training": "●",
    "paused": "‖",
    "evaluating": "◐",
    "reporting": "◑",
    "finished": "◉",
    "completed": "✓",
    "stopped": "■",
    "aborted": "▲",
    "failed": "✗",
    "crashed": "✗",
}
STYLES = {
    "training": "bold green",
    "paused": "bold yellow",
    "completed": "bold green",
    "stopped": "bold yellow",
    "aborted": "bold yellow",
    "failed": "bold red",
    "crashed": "bold red",
}


@dataclass(frozen=True)
class Around:
    """What the top line knows beside the run."""

    lock: str = "free"
    gpu: str = ""
    link: str = "link ok"
    eta: float | None = None  # seconds
    readonly: bool = False


@dataclass(frozen=True)
class _Part:
    """Some words of the line, and what takes their place where it gets tight. The highest rank goes first."""

    rank: int
    text: Text
    shorter: _Part | None = None


def status_line(view: RunView | None, around: Around, width: int) -> Text:
    """As much as fits, the most important longest."""
    word = view.word if view is not None else "idle"
    glyph = GLYPHS.get(word, "·")
    parts = [
        _Part(0, Text(" medtui", style="bold")),
        _Part(0, Text(f"{glyph} {clean(word, 40)}", style=STYLES.get(word, "bold"))),
    ]
    if view is not None:
        parts += _of_run(view, around)
    parts.append(_Part(1, Text(f"lock: {clean(around.lock, 60)}")))
    if around.readonly:
        parts.append(_Part(1, Text("read only", style="bold yellow")))
    if around.gpu:
        parts.append(_Part(7, Text(clean(around.gpu, 40))))
    parts += _of_link(view, around.link)
    return _fitted(parts, width)


def _of_link(view: RunView | None, link: str) -> list[_Part]:
    """Where there is no engine to be linked to, only that the display is late."""
    linked = view is None or (view.outcome is None and view.unseen is None)
    if link == "link ok":
        return [_Part(8, Text(link))] if linked else []
    return [_Part(1, Text(link if linked else link.partition(",")[0], style="bold yellow"))]


def _of_run(view: RunView, around: Around) -> list[_Part]:
    started = view.state.started
    if started is None:
        return []
    data, model = clean(started.dataset, 30), clean(started.model, 30).replace("_", "-")
    run_hash = clean((started.run.split("_") + [""] * 4)[3], 12)  # of 20261122_breastmnist_model_1a2b3c
    bare = _Part(3, Text(data))
    parts = [_Part(6, Text(f"{data} · {model} · {run_hash}"), _Part(5, Text(f"{data} · {run_hash}"), bare))]
    if view.active and view.phase in ("training", "paused"):
        parts.append(_Part(2, Text(f"epoch {view.epoch}/{started.epochs}")))
        if around.eta is not None:
            parts.append(_Part(4, Text(f"eta {duration(around.eta)}")))
    return parts


def _fitted(parts: list[_Part], width: int) -> Text:
    kept = list(parts)
    while sum(cell_len(part.text.plain) + 2 for part in kept) - 2 > width:
        worst = max(kept, key=lambda part: part.rank)
        if worst.rank == 0:
            break
        at = kept.index(worst)
        kept[at : at + 1] = [worst.shorter] if worst.shorter is not None else []
    line = Text("  ").join(part.text for part in kept)
    line.truncate(width)
    return line


def lock_words(locked: bool, holder_pid: int | None, own_pid: int | None, holder_run: str | None) -> str:
    """Who holds the workspace, for the top line."""
    if not locked:
        return "free"
    if holder_pid is not None and holder_pid == own_pid:
        return "this console"
    who = f"engine {holder_pid}" if holder_pid else "another process"
    return who + (f" {shortened(clean(holder_run), 24)}" if holder_run else "")
