"""The texts of the Live screen, as functions of values."""

from __future__ import annotations

import math
import textwrap
import time
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from engine.contract.data_files import bytes_words
from engine.contract.protocol import Alarm, ClassMetrics, CommandAccepted, Progress, RunStarted
from medtui.client.view import RunView
from medtui.text import clean, duration, number, shortened

SPARKS = "▁▂▃▄▅▆▇█"
SPARK_EPOCHS = 10
EPOCHS_COLUMN = f"val, last {SPARK_EPOCHS}"  # recall on the validation split, epochs
COLUMNS = {"recall": 7, "Δ": 7, "precision": 10, "F1": 7, "AUC": 7, "support": 8, EPOCHS_COLUMN: 16}  # and their widths
LEVELS = {"warning": "yellow", "error": "bold red"}


@dataclass(frozen=True)
class ClassRow:
    """One class now, what changed since the epoch before, and its last epochs."""

    metrics: ClassMetrics
    delta: float | None  # of recall; None without an epoch before
    history: tuple[float, ...]  # recall


def class_rows(view: RunView) -> tuple[str, list[ClassRow]]:
    """The split, and its classes: worst recall first, undefined last."""
    tested = [evaluation for evaluation in view.state.evaluations if evaluation.split == "test"]
    epochs = view.state.epochs
    history: dict[str, list[float]] = {}
    for epoch in epochs[-SPARK_EPOCHS:]:
        for row in epoch.per_class:
            history.setdefault(row.name, []).append(row.recall)
    now = tested[-1].per_class if tested else epochs[-1].per_class if epochs else []
    rows = []
    for row in now:
        past = history.get(row.name, [])
        delta = None if tested or len(past) < 2 else past[-1] - past[-2]
        rows.append(ClassRow(row, delta, tuple(past)))
    rows.sort(key=lambda row: (math.isnan(row.metrics.recall), row.metrics.recall))
    return ("test" if tested else "validation"), rows


def sparkline(values: tuple[float, ...], low: float = 0.0, high: float = 1.0) -> str:
    """A block a value; what is not finite is a cross."""
    found = []
    for value in values:
        if not math.isfinite(value):
            found.append("×")
            continue
        share = (max(low, min(value, high)) - low) / (high - low) if high > low else 0.5
        found.append(SPARKS[min(len(SPARKS) - 1, int(share * len(SPARKS)))])
    return "".join(found)


def signed(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:+.3f}"


def classes_text(rows: list[ClassRow], width: int) -> Text:
    """A table a person can read from the left: narrow terminals lose columns from the right."""
    if not rows:
        return Text("no epoch is done yet", style="dim")
    longest = max(cell_len(clean(row.metrics.name, 60)) for row in rows)
    name_width = max(8, min(longest, 30, width - 16))
    columns = dict(COLUMNS)
    if all(row.delta is None for row in rows):
        del columns["Δ"]
    while len(columns) > 1 and name_width + sum(columns.values()) > width:
        columns.popitem()
    text = Text(no_wrap=True)
    head = "".join(f"{title:>{taken}}" for title, taken in columns.items())
    text.append(f"{'class':<{name_width}}{head}\n", "dim")
    for row in rows:
        cells = _cells(row)
        name = shortened(clean(row.metrics.name, 60), name_width)
        text.append(name + " " * (name_width - cell_len(name)), "bold")
        for title, taken in columns.items():
            words, style = cells[title]
            text.append(f"{words:>{taken}}", style)
        text.append("\n")
    text.rstrip()
    return text


def _cells(row: ClassRow) -> dict[str, tuple[str, str]]:
    """(words, style) of each column."""
    metrics = row.metrics
    rises = row.delta is not None and row.delta > 0
    falls = row.delta is not None and row.delta < 0
    return {
        "recall": (number(metrics.recall, 3), ""),
        "Δ": (signed(row.delta), "green" if rises else "red" if falls else "dim"),
        "precision": (number(metrics.precision, 3), ""),
        "F1": (number(metrics.f1, 3), ""),
        "AUC": (number(metrics.auc, 3), ""),
        "support": (f"{metrics.support:,}", ""),
        EPOCHS_COLUMN: (sparkline(row.history), "cyan"),
    }


# ---- progress -------------------------------------------------------------------------------------------------------


def bar(done: float, total: float, width: int) -> Text:
    share = 0.0 if total <= 0 else max(0.0, min(1.0, done / total))
    full = round(share * width)
    text = Text("█" * full, "green")
    text.append("░" * (width - full), "dim")
    return text


def _bar_width(started: RunStarted, width: int) -> int:
    """The same for both bars, and for the whole run: what stands beside them must fit."""
    count = len(str(max(started.epochs, started.steps_per_epoch)))
    beside = len("epoch  ") + len("  /") + 2 * count + len("  eta 12 h 30 min")
    return max(2, min(24, width - beside))


def bytes_bar(progress: Progress, width: int) -> Text:
    """How far a download is: `██████░░░░ 6.1 MB of 12.0 MB`."""
    total = f" of {bytes_words(progress.total)}" if progress.total else ""
    words = f" {bytes_words(progress.done)}{total}"
    return bar(progress.done, progress.total, max(6, width - len(words) - 1)).append(f"{words}\n", "none")


def progress_text(view: RunView, eta: float | None, width: int) -> Text:
    """Bars of run and epoch, early stopping, how it ended."""
    text = Text(no_wrap=True)
    started, progress = view.state.started, view.progress
    if view.outcome is not None:
        _append_end(text, view, width)
    elif view.phase == "paused":
        text.append("paused; p goes on\n", "bold yellow")
    if started is not None:
        _append_run(text, view, eta, width)
    elif view.active:
        words = progress.activity if progress is not None else "the engine gets ready"
        text.append(f"{view.word} … {clean(words, 60)}\n")
        if progress is not None and progress.unit == "bytes":
            text.append_text(bytes_bar(progress, width))
    if progress is not None and started is not None and view.active:
        _append_now(text, view, width)
    alarms = [message for message in view.state.messages if isinstance(message, Alarm)]
    if alarms and view.active:
        text.append(_wrapped(f"ALARM {alarms[-1].message} {alarms[-1].hint}", width), "bold red")
    if started is not None and started.patience is not None and view.state.epochs:
        waited = view.state.epochs[-1].without_improvement
        text.append(f"early stop: {waited} of {started.patience} without gain\n")
    if view.resources is not None and view.active:
        memory, cpu = view.resources.memory / 1e9, view.resources.cpu_percent
        text.append(f"engine: {memory:.2f} GB, {cpu:.0f}% of a core\n", "dim")
    if view.noise:
        text.append(f"{view.noise:,} lines of the engine were no events\n", "yellow")
    text.rstrip()
    return text


def _append_run(text: Text, view: RunView, eta: float | None, width: int) -> None:
    started, progress = view.state.started, view.progress
    assert started is not None
    steps = started.steps_per_epoch * started.epochs
    done = float(progress.done) if progress is not None and progress.step is not None else 0.0
    done = max(done, float(view.state.epochs[-1].step) if view.state.epochs else 0.0)
    text.append("run    ")
    text.append(bar(done, steps, _bar_width(started, width)))
    text.append(f"  {view.epoch}/{started.epochs}")
    if view.phase == "training" and view.active:
        text.append(f"  eta {duration(eta)}")
    text.append("\n")


def _append_now(text: Text, view: RunView, width: int) -> None:
    started, progress = view.state.started, view.progress
    assert started is not None and progress is not None
    training = progress.step is not None
    done, total = (progress.step or 0, started.steps_per_epoch) if training else (progress.done, progress.total)
    text.append(f"{'epoch' if training else 'now':<7}")
    text.append(bar(done, total, _bar_width(started, width)))
    text.append(f"  {done}/{total}")
    if not training:
        text.append(f"  {clean(progress.activity, 40)}")
    elif progress.images_per_second and view.phase == "training":
        text.append(f"  {progress.images_per_second:,.0f} images/s")
    text.append("\n")


def _wrapped(words: str, width: int) -> str:
    return textwrap.fill(clean(words, 400), max(20, width)) + "\n"


def _append_end(text: Text, view: RunView, width: int) -> None:
    """How it ended and the next key in the first line, for narrow panes; then what came out, or why not."""
    finished = view.state.finished
    bad = view.outcome in ("failed", "crashed")
    text.append(
        f"{view.outcome}", "bold red" if bad else "bold green" if view.outcome == "completed" else "bold yellow"
    )
    if view.state.started is not None:
        text.append(
            f"   {'4, then u goes on' if bad or view.outcome == 'aborted' else '4 shows the results'}",
            "dim",
        )
    if finished is not None and finished.exit_code:
        code = f"   exit code {finished.exit_code}"  # the least of it, where there is room
        text.append(code if cell_len(text.plain) + len(code) <= width else "", "dim")
    text.append("\n")
    test = finished.metrics.get("test") if finished is not None else None
    if test is not None:
        text.append(f"test AUC {number(test.auc)}  ACC {number(test.acc)}\n")
    if view.died is not None:
        text.append(_wrapped(view.died, width), "red")
    if finished is not None and finished.error is not None:
        text.append(_wrapped(f"{finished.error.message} {finished.error.hint}", width), "red")


# ---- log --------------------------------------------------------------------------------------------------------


def log_lines(view: RunView) -> list[tuple[float, str, str]]:
    """(time, words, style) of messages, answers, epochs that were best, phases; oldest first."""
    state = view.state
    lines: list[tuple[float, str, str]] = []
    for message in state.messages:
        if isinstance(message, Alarm):
            lines.append((message.time, f"ALARM {clean(message.message)} {clean(message.hint)}", "bold red"))
        else:
            lines.append((message.time, clean(message.message), LEVELS.get(message.level, "")))
    for answer in state.answers:
        if answer.command in ("start", "diagnose", "shutdown"):
            continue
        if isinstance(answer, CommandAccepted):
            lines.append((answer.time, f"{clean(answer.command, 20)} accepted ({clean(answer.by, 40)})", "yellow"))
        else:
            lines.append((answer.time, f"{clean(answer.command, 20)} rejected: {clean(answer.reason, 200)}", "yellow"))
    lines += [
        (epoch.time, f"epoch {epoch.epoch}: best AUC {number(epoch.validation.auc)}", "bold")
        for epoch in state.epochs
        if epoch.best
    ]
    lines += _attempt_lines(state.started)
    lines += [(at, phase, "dim") for phase, at in view.phases if phase not in ("idle",)]
    request = view.unanswered
    if request is not None:
        lines.append((request.at, f"{request.command} sent, waiting for the engine's answer", "bold yellow"))
    return sorted(lines, key=lambda line: line[0])


def _attempt_lines(started: RunStarted | None) -> list[tuple[float, str, str]]:
    """From where a resumed run goes on, and what is not as it was."""
    if started is None or started.resumed_from is None:
        return []
    at = started.resumed_from
    where = f"epoch {at.epoch + 1}, step {at.step}" if at.step else f"the end of epoch {at.epoch}"
    lines = [(started.time, f"attempt {started.attempt}: resumed from {where}", "bold")]
    return lines + [(started.time, drift_words(change), "bold yellow") for change in started.drift]


def drift_words(change: str) -> str:
    """One thing that changed between attempts and was allowed to."""
    return f"drift between attempts, not bit for bit: {clean(change, 200)}"


def log_text(view: RunView, wanted: str, height: int) -> Text:
    """The newest lines that have `wanted` in them."""
    wanted = wanted.strip().lower()
    lines = [line for line in log_lines(view) if wanted in line[1].lower()]
    if not lines:
        return Text(f"no line has {clean(wanted, 40)!r} in it" if wanted else "no messages yet", style="dim")
    text = Text(no_wrap=True, overflow="ellipsis")
    for at, words, style in lines[-height:]:
        text.append(time.strftime("%H:%M:%S ", time.localtime(at)), "dim")
        text.append(f"{words}\n", style)
    text.rstrip()
    return text
