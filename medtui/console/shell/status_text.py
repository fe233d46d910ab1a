"""The top line: what the engine is doing and who holds the workspace, as a glyph and a word."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from medtui.client.run_row import name_suffix
from medtui.text import clean, clock, shortened

if TYPE_CHECKING:
    from engine.contract.store.lock import LockState
    from medtui.client.view import RunView


UNKNOWN = "…"  # what has not been checked yet
CONNECTING = "connecting"
OWN = "this console"  # holds the workspace
GLYPHS = {
    "idle": "○",
    CONNECTING: "◌",
    "starting": "◌",
    "preparing": "◌",
    "training": "●",
    "paused": "‖",
    "suspended": "‖",
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
    "suspended": "bold red",
    "completed": "bold green",
    "stopped": "bold yellow",
    "aborted": "bold yellow",
    "failed": "bold red",
    "crashed": "bold red",
}


@dataclass(frozen=True)
class AppStatus:
    """What the top line shows in addition to the run; before the first poll, that it is unknown."""

    lock: str = UNKNOWN
    word: str = CONNECTING  # what the workspace's engine does, as long as no run is shown
    prepares: bool = False  # does another engine hold the workspace that has no run yet? It may resume the shown one
    gpu: str = ""
    link: str = "link ok"
    eta: float | None = None  # seconds
    elapsed: int | None = None  # seconds since the attempt began
    stalled: str = ""  # for how long there was no step
    readonly: bool = False
    living: tuple[str, ...] = ()  # names of the runs that train now


def elapsed_of(view: RunView, now: float) -> int | None:
    """Whole seconds since the shown attempt began, up to its end; by the clocks of engine and console."""
    started = view.state.started
    if started is None:
        return None
    finished = view.state.finished
    end = finished.time if finished is not None else now if view.active else None
    return None if end is None else max(0, int(end - started.time))


def known(view: RunView | None) -> object:
    """What the top line shows of the run: unchanged, it is not made again (snapshots are frequent)."""
    if view is None:
        return None
    return (
        view.state,
        view.status_label,
        view.asked_to_start,
        view.progress.epoch if view.progress is not None else None,
    )


@dataclass(frozen=True)
class _Part:
    """A piece of the line, in words that get shorter; the lower its rank, the more it matters."""

    rank: int
    texts: tuple[Text, ...]


def _shown_run(view: RunView | None, status: AppStatus) -> RunView | None:
    """The run that the line is about: not one that has ended while an engine prepares, which may be another one's."""
    return None if view is not None and view.outcome is not None and status.prepares else view


def status_word(view: RunView | None, status: AppStatus) -> str:
    """What the engine does, or how the shown run ended."""
    shown = _shown_run(view, status)
    return shown.status_label if shown is not None else status.word


def status_line(view: RunView | None, status: AppStatus, width: int) -> Text:
    """As much as fits, the most important first."""
    word, shown = status_word(view, status), _shown_run(view, status)
    parts = [
        _Part(0, (Text(" medtui", style="bold"),)),
        _Part(0, (Text(f"{GLYPHS.get(word, '·')} {clean(word, 40)}", style=STYLES.get(word, "bold")),)),
    ]
    if shown is not None:
        parts += _of_run(shown, status)
    lock = clean(status.lock, 60)
    parts.append(_Part(1, tuple(Text(f"lock: {shortened(lock, most)}") for most in (60, 24, 14))))
    if status.readonly:
        parts.append(_Part(1, (Text("read-only", style="bold yellow"),)))
    if status.gpu:
        parts.append(_Part(7, (Text(clean(status.gpu, 40)),)))
    if status.link != "link ok":
        parts.append(_Part(1, (Text(status.link, style="bold yellow"),)))
    elif view is None or view.outcome is None:  # next to an outcome, it would read as the engine's link
        parts.append(_Part(8, (Text(status.link),)))
    return _fitted(parts, width)


def _of_run(view: RunView, status: AppStatus) -> list[_Part]:
    started = view.state.started
    if started is None:
        return []
    seed = f"seed {started.seed}" if started.seed is not None else ""
    dataset, model, run = clean(started.dataset, 30), clean(started.model, 30), name_suffix(started.run)
    titles = ([dataset, model, seed, run], [dataset, model, run], [dataset, run], [dataset])
    parts = [_Part(4, tuple(Text(" · ".join(filter(None, title))) for title in titles))]
    if started.run in status.living and len(status.living) > 1:
        number, n = status.living.index(started.run) + 1, len(status.living)
        parts.append(_Part(1, (Text(f"run {number} of {n}", "bold"), Text(f"{number}/{n}", "bold"))))
    if view.active and view.phase in ("training", "paused"):
        parts.append(_Part(2, (Text(f"epoch {view.epoch}/{started.epochs}"),)))
        if status.stalled:
            parts.append(_Part(1, (Text(f"no step for {status.stalled}", style="bold yellow"),)))
    return [*parts, *_times(status)]


def _times(status: AppStatus) -> list[_Part]:
    """What is left matters most, then when that is by the clock, then what is over."""
    found = []
    if status.elapsed is not None:
        found.append(_Part(6, (Text(f"{clock(status.elapsed)} elapsed"),)))
    if status.eta is not None:
        end = time.localtime(time.time() + status.eta)
        done = time.strftime("%H:%M" if status.eta < 86_400 else "%a %H:%M", end)
        found += [_Part(3, (Text(f"{clock(status.eta)} left"),)), _Part(5, (Text(f"done {done}"),))]
    return found


def _fitted(parts: list[_Part], width: int) -> Text:
    """By rank, each in the longest wording that fits, if any; in their order."""
    chosen: dict[int, Text] = {}
    left = width + 2  # each is counted with the two spaces before it
    for at, part in sorted(enumerate(parts), key=lambda item: item[1].rank):
        fitting = (text for text in part.texts if part.rank == 0 or cell_len(text.plain) + 2 <= left)
        text = next(fitting, None)
        if text is not None:
            chosen[at] = text
            left -= cell_len(text.plain) + 2
    line = Text("  ").join(chosen[at] for at in sorted(chosen))
    line.truncate(width)
    return line


def describe_lock(state: LockState, own: bool, holder_run: str | None) -> str:
    """Who holds the workspace, for the top line. `holder_run`: where it differs from the run that the line names."""
    if not state.held:
        return "free" if state.held is False else "unknown"
    if own:
        return OWN
    if state.holder is not None and state.holder.is_runner:
        return shortened(clean(str(state.holder.owner)), 40)
    if state.holder is not None and state.holder.is_without_runner:
        return f"engine {state.holder.pid} of {shortened(clean(str(state.holder.owner), 200), 24)}, no runner"
    if state.holder is not None and state.run is None:  # perhaps to resume the run that the line shows as ended
        return f"engine {state.holder.pid}, preparing"
    who = f"engine {state.holder.pid}" if state.holder else "another process"
    return who + (f" {shortened(clean(holder_run), 24)}" if holder_run else "")


def describe_holder(state: LockState, living: Sequence[str]) -> str:
    """What the workspace's engine does, as far as the lock tells: a run that it names is connected to at once.

    `living`: names of the runs that train now. A runner may still be preparing its first.
    """
    if not state.held_by_engine:
        return "idle"
    if state.holder is not None and state.holder.is_runner:
        return "training" if living else "preparing"
    return CONNECTING if state.run is not None else "preparing"


def format_drift(change: str) -> str:
    """One permitted change between attempts."""
    return f"drift between attempts, not bit for bit: {clean(change, 200)}"
