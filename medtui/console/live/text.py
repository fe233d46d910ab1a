"""The texts of the Live screen, as functions of values."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Mapping

from rich.cells import cell_len
from rich.text import Text

from engine.contract.findings.rules import findings
from engine.contract.wire.protocol import Alarm, CommandAccepted, RunStarted
from medtui.actions import BY_ID, Action
from medtui.client.view import RunView
from medtui.console.shell.status_text import format_drift
from medtui.console.widgets.bars import bar, bytes_bar
from medtui.text import clean, duration, number, shortened

LEVELS = {"warning": "yellow", "error": "bold red"}


# ---- progress -------------------------------------------------------------------------------------------------------


def _bar_width(started: RunStarted, width: int) -> int:
    """The same for both bars, and for the complete run: the text next to them must fit."""
    count = len(str(max(started.epochs, started.steps_per_epoch)))
    used = len("epoch  ") + len("  /") + 2 * count + len("  eta 12 h 30 min")
    return max(2, min(24, width - used))


def progress_text(view: RunView, eta: float | None, width: int, actions: Mapping[str, Action] = BY_ID) -> Text:
    """Bars of run and epoch, early stopping, the outcome."""
    text = Text(no_wrap=True)
    started, progress = view.state.started, view.progress
    if view.outcome is not None:
        _append_end(text, view, width, actions)
    elif view.phase == "paused":
        text.append(f"paused; {actions['run.pause'].key} resumes\n", "bold yellow")
    if started is not None:
        _append_run(text, view, eta, width)
    elif view.active:
        words = progress.activity if progress is not None else "starting the engine"
        text.append(f"{view.status_label} … {clean(words, 60)}\n")
        if progress is not None and progress.unit == "bytes":
            text.append_text(bytes_bar(progress, width))
    if progress is not None and started is not None and view.active:
        _append_now(text, view, width)
    alarms = [message for message in view.state.messages if isinstance(message, Alarm)]
    if alarms and view.active:
        text.append(_wrapped(f"ALARM {alarms[-1].message} {alarms[-1].hint}", width), "bold red")
    if started is not None and started.patience is not None and view.state.epochs:
        waited = view.state.epochs[-1].without_improvement
        text.append(f"{waited}/{started.patience} epochs without improvement\n")
    for line in standing_out(view, width):
        text.append(f"{line}\n", "yellow")
    if view.resources is not None and view.active:
        memory, cpu = view.resources.memory / 1e9, view.resources.cpu_percent
        text.append(f"engine: {memory:.2f} GB, {cpu:.0f}% of a core\n", "dim")
    if view.noise:
        text.append(f"{view.noise:,} engine lines were not events\n", "yellow")
    text.rstrip()
    return text


def standing_out(view: RunView, width: int, rows: int = 2) -> list[str]:
    """What stands out in a run, in lines of at most `width` columns: one finding in at most `rows` lines, of several
    the names. No line where nothing does."""
    found = findings(view.state.history)
    if not found:
        return []
    text = clean(found[0].message, 400) if len(found) == 1 else ", ".join(clean(one.name, 40) for one in found)
    lines = textwrap.wrap(f"stands out: {text}", max(20, width))
    return lines if len(lines) <= rows else [shortened(f"stands out: {text}", width)]


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


def _append_end(text: Text, view: RunView, width: int, actions: Mapping[str, Action]) -> None:
    """Outcome and the next key in the first line, for narrow panes; then the result, or the reason."""
    finished = view.state.finished
    bad = view.outcome in ("failed", "crashed")
    text.append(
        f"{view.outcome}", "bold red" if bad else "bold green" if view.outcome == "completed" else "bold yellow"
    )
    if view.state.started is not None:
        results, resume = actions["go.results"].key, actions["results.resume"].key
        goes_on = bad or view.outcome == "aborted"
        text.append(f"   resume: {results}, then {resume}" if goes_on else f"   {results} shows the results", "dim")
    if finished is not None and finished.exit_code:
        code = f"   exit code {finished.exit_code}"  # the least important, where it fits
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
    """(time, text, style) of messages, answers, best epochs, phases; oldest first."""
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
    """Where a resumed run continues, and what has changed."""
    if started is None or started.resumed_from is None:
        return []
    at = started.resumed_from
    where = f"epoch {at.epoch + 1}, step {at.step}" if at.step else f"the end of epoch {at.epoch}"
    lines = [(started.time, f"attempt {started.attempt}: resumed from {where}", "bold")]
    return lines + [(started.time, format_drift(change), "bold yellow") for change in started.drift]


def log_text(view: RunView, query: str, height: int) -> Text:
    """The newest lines that contain `query`."""
    query = query.strip().lower()
    lines = [line for line in log_lines(view) if query in line[1].lower()]
    if not lines:
        return Text("no matching log lines" if query else "no messages yet", style="dim")
    text = Text(no_wrap=True, overflow="ellipsis")
    for at, words, style in lines[-height:]:
        text.append(time.strftime("%H:%M:%S ", time.localtime(at)), "dim")
        text.append(f"{words}\n", style)
    text.rstrip()
    return text
