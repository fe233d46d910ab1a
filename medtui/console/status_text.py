"""The top line: what the engine is doing and who holds the workspace, in a glyph and a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from medtui.text import clean, duration, shortened

if TYPE_CHECKING:
    from medtui.client.view import RunView


UNKNOWN = "…"  # what was not looked at yet
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


def known(view: RunView | None) -> object:
    """What the top line knows of the run: with the same, it need not be made again. Snapshots come several a second."""
    if view is None:
        return None
    return view.state, view.word, view.asked_to_start, view.progress.epoch if view.progress is not None else None


@dataclass(frozen=True)
class _Part:
    """A piece of the line, in words that get shorter; the lower its rank, the more it matters."""

    rank: int
    texts: tuple[Text, ...]


def status_line(view: RunView | None, around: Around, width: int) -> Text:
    """As much as fits, the most important first."""
    word = view.word if view is not None else "idle"
    parts = [
        _Part(0, (Text(" medtui", style="bold"),)),
        _Part(0, (Text(f"{GLYPHS.get(word, '·')} {clean(word, 40)}", style=STYLES.get(word, "bold")),)),
    ]
    if view is not None:
        parts += _of_run(view, around)
    lock = clean(around.lock, 60)
    parts.append(_Part(1, tuple(Text(f"lock: {shortened(lock, most)}") for most in (60, 24, 14))))
    if around.readonly:
        parts.append(_Part(1, (Text("read only", style="bold yellow"),)))
    if around.gpu:
        parts.append(_Part(5, (Text(clean(around.gpu, 40)),)))
    if around.link != "link ok":
        parts.append(_Part(1, (Text(around.link, style="bold yellow"),)))
    elif view is None or view.outcome is None:  # beside an end, it would read as the engine's link
        parts.append(_Part(6, (Text(around.link),)))
    return _fitted(parts, width)


def _of_run(view: RunView, around: Around) -> list[_Part]:
    started = view.state.started
    if started is None:
        return []
    run_hash = (started.run.split("_") + [""] * 4)[3]  # as in the directory's name: 20261122_breastmnist_model_1a2b3c
    names = [clean(started.dataset, 30), clean(started.model, 30).replace("_", "-"), clean(run_hash, 12)]
    parts = [_Part(4, tuple(Text(" · ".join(title)) for title in (names, names[::2], names[:1])))]
    if view.active and view.phase in ("training", "paused"):
        parts.append(_Part(2, (Text(f"epoch {view.epoch}/{started.epochs}"),)))
        if around.eta is not None:
            parts.append(_Part(3, (Text(f"eta {duration(around.eta)}"),)))
    return parts


def _fitted(parts: list[_Part], width: int) -> Text:
    """By rank, each in the longest words that there is room for, if any; in their order."""
    chosen: dict[int, Text] = {}
    left = width + 2  # each is counted with the two blanks before it
    for at, part in sorted(enumerate(parts), key=lambda item: item[1].rank):
        fitting = (text for text in part.texts if part.rank == 0 or cell_len(text.plain) + 2 <= left)
        text = next(fitting, None)
        if text is not None:
            chosen[at] = text
            left -= cell_len(text.plain) + 2
    line = Text("  ").join(chosen[at] for at in sorted(chosen))
    line.truncate(width)
    return line


def lock_words(locked: bool, holder_pid: int | None, own_pid: int | None, holder_run: str | None) -> str:
    """Who holds the workspace, for the top line. `holder_run`: where it is another than the line names."""
    if not locked:
        return "free"
    if holder_pid is not None and holder_pid == own_pid:
        return "this console"
    who = f"engine {holder_pid}" if holder_pid else "another process"
    return who + (f" {shortened(clean(holder_run), 24)}" if holder_run else "")
