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


def status_line(view: RunView | None, around: Around, width: int) -> Text:
    """As much as fits, the most important first."""
    word = view.word if view is not None else "idle"
    glyph = GLYPHS.get(word, "·")
    parts: list[tuple[int, Text]] = [
        (0, Text(" medtui", style="bold")),
        (0, Text(f"{glyph} {clean(word, 40)}", style=STYLES.get(word, "bold"))),
    ]
    if view is not None:
        parts += _of_run(view, around)
    parts.append((1, Text(f"lock: {clean(around.lock, 60)}")))
    if around.readonly:
        parts.append((1, Text("read only", style="bold yellow")))
    if around.gpu:
        parts.append((5, Text(clean(around.gpu, 40))))
    behind = around.link != "link ok"
    parts.append((1 if behind else 6, Text(around.link, style="bold yellow" if behind else "")))
    return _fitted(parts, width)


def _of_run(view: RunView, around: Around) -> list[tuple[int, Text]]:
    started, progress = view.state.started, view.progress
    if started is None:
        return []
    run_hash = (started.run.split("_") + [""] * 4)[3]  # as in the directory's name: 20261122_breastmnist_model_1a2b3c
    title = f"{clean(started.dataset, 30)} · {clean(started.model, 30).replace('_', '-')} · {clean(run_hash, 12)}"
    parts = [(3, Text(title))]
    if view.active and view.phase in ("training", "paused"):
        epoch = progress.epoch if progress is not None and progress.epoch else len(view.state.epochs)
        parts.append((2, Text(f"epoch {epoch}/{started.epochs}")))
        if around.eta is not None:
            parts.append((4, Text(f"eta {duration(around.eta)}")))
    return parts


def _fitted(parts: list[tuple[int, Text]], width: int) -> Text:
    kept = list(parts)
    while len(kept) > 2 and sum(cell_len(text.plain) + 2 for _, text in kept) > width:
        worst = max(kept, key=lambda part: part[0])
        if worst[0] == 0:
            break
        kept.remove(worst)
    line = Text("  ").join(text for _, text in kept)
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
