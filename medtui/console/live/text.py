"""The texts of the Live screen, as functions of values."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from engine.contract.findings.rules import findings
from engine.contract.wire.protocol import Alarm, CommandAccepted, RunStarted
from engine.contract.wire.text import counted
from medtui.actions import BY_ID, Action
from medtui.client.view import RunView
from medtui.console.shell.status_text import format_drift
from medtui.console.widgets.bars import bar, bytes_bar
from medtui.sentences import Following
from medtui.text import clean, clock, monitored, number, shortened

TWO_BARS_FROM = 90  # columns from which two bars stand side by side
LEAST_BAR = 10  # cells
LEVELS = {"warning": "yellow", "error": "bold red"}


# ---- progress -------------------------------------------------------------------------------------------------------


def progress_text(
    view: RunView,
    eta: float | None,
    width: int,
    actions: Mapping[str, Action] = BY_ID,
    *,
    resources: bool = True,
    of_work: bool = False,
) -> Text:
    """The outcome, bars of run and epoch, the newest checkpoint.

    `resources`: what the engine uses, too. `of_work`: does the suite or the queue that trained it hold the workspace?
    """
    text = Text(no_wrap=True)
    started, progress = view.state.started, view.progress
    if view.outcome is not None:
        _append_end(text, view, width, _next_key(view, actions, of_work=of_work))
    elif view.phase == "paused" and not view.catching_up:
        text.append(f"paused; {actions['run.pause'].key} resumes\n", "bold yellow")
    if view.active and (words := _standstill(view)):
        text.append(_wrapped(words, width), "bold red")
    if started is not None:
        text.append_text(_bars(view, eta, width))
    elif view.active:
        begun = "reading its journal" if view.catching_up else "waiting for the engine"
        words = progress.activity if progress is not None else begun
        text.append(f"{view.status_label} … {clean(words, 60)}\n")
        if progress is not None and progress.unit == "bytes":
            text.append_text(bytes_bar(progress, width))
    alarms = [message for message in view.state.messages if isinstance(message, Alarm)]
    if alarms and view.active:
        text.append(_wrapped(f"ALARM {alarms[-1].message} {alarms[-1].hint}", width), "bold red")
    for line in standing_out(view, width):
        text.append(f"{line}\n", "yellow")
    if facts := _facts(view, width, resources=resources):
        text.append(f"{facts}\n", "dim")
    if view.noise:
        text.append(f"not events: {counted(view.noise, 'line')} of the engine's output\n", "yellow")
    text.rstrip()
    return text


def _standstill(view: RunView) -> str:
    """What keeps the run, or this screen, from going on."""
    if view.suspended:
        hello = view.state.hello
        process = f"process {hello.pid}" if hello is not None else "its process"
        return " ".join(Following.SUSPENDED.text(process=process))
    return " ".join(Following.EVENTS_LOST.text()) if view.events_lost else ""


def standing_out(view: RunView, width: int, rows: int = 2) -> list[str]:
    """What stands out in a run, in lines of at most `width` columns: one finding in at most `rows` lines, of several
    the names. No line where nothing does."""
    found = findings(view.state.history)
    if not found:
        return []
    text = clean(found[0].message, 400) if len(found) == 1 else ", ".join(clean(one.name, 40) for one in found)
    lines = textwrap.wrap(f"stands out: {text}", max(20, width))
    return lines if len(lines) <= rows else [shortened(f"stands out: {text}", width)]


def _facts(view: RunView, width: int, *, resources: bool) -> str:
    """`best: epoch 18, 14 ago · checkpoint 22:04:10`, as far as known and as many as fit."""
    state, found = view.state, []
    last = state.epochs[-1] if state.epochs else None
    if last is not None and last.best_epoch is not None:
        ago = last.epoch - last.best_epoch
        found.append(f"best: epoch {last.best_epoch}" + (f", {ago} ago" if ago else ", the latest"))
    if state.last_checkpoint is not None and view.active:
        found.append(f"checkpoint {time.strftime('%H:%M:%S', time.localtime(state.last_checkpoint.time))}")
    if resources and view.resources is not None and view.active:
        found.append(f"engine: {view.resources.memory / 1e9:.2f} GB, {view.resources.cpu_percent:.0f}% of a core")
    while len(found) > 1 and cell_len(" · ".join(found)) > width:
        found.pop()
    return " · ".join(found)


def _bars(view: RunView, eta: float | None, width: int) -> Text:
    """Of the run, and of what it does now: side by side where there is room for both."""
    run, now = _run_bar(view, eta), _now_bar(view)
    if now is None:
        return _drawn(run, width).append("\n")
    if width >= TWO_BARS_FROM:
        left = width // 2
        return _drawn(run, left - 3).append("   ").append_text(_drawn(now, width - left)).append("\n")
    return _drawn(run, width).append("\n").append_text(_drawn(now, width)).append("\n")


@dataclass(frozen=True)
class _Bar:
    title: str
    done: float
    total: float
    words: str


def _drawn(one: _Bar, width: int) -> Text:
    """The bar gets what its words leave, the words what a bar of ten cells leaves."""
    words = shortened(one.words, max(0, width - 6 - 2 - LEAST_BAR))
    cells = max(LEAST_BAR, width - 6 - 2 - cell_len(words))
    return Text(f"{one.title:<6}").append_text(bar(one.done, one.total, cells)).append(f"  {words}")


def _run_bar(view: RunView, eta: float | None) -> _Bar:
    started = view.state.started
    assert started is not None
    left = f"  {clock(eta)} left" if eta is not None and view.phase == "training" and view.active else ""
    words = f"{view.epoch}/{started.epochs}{left}"
    return _Bar("run", _steps_done(view, started), started.steps_per_epoch * started.epochs, words)


def _steps_done(view: RunView, started: RunStarted) -> int:
    """Steps of the run: what else is done, such as validation, takes none back."""
    done = [0, *(epoch.step for epoch in view.state.epochs[-1:])]
    done += [view.trained.done] if view.trained is not None else []
    now = view.progress
    if now is not None and now.epoch is not None and now.step is None:  # a pause, or what follows an epoch's last step
        of_epoch = now.done if now.phase == "paused" else started.steps_per_epoch
        done.append((now.epoch - 1) * started.steps_per_epoch + of_epoch)
    return max(done)


def _now_bar(view: RunView) -> _Bar | None:
    """Steps of the epoch; or what else is done, such as validation."""
    started, now = view.state.started, view.doing
    if started is None or view.progress is None or not view.active:
        return None
    if now is not None and now.step is None:
        return _Bar("now", now.done, now.total, f"{now.done}/{now.total}  {clean(now.activity, 40)}")
    steps = started.steps_per_epoch
    step = now.step if now is not None else None
    if step is None:  # what follows has not been reported yet
        step = max(0, min(steps, _steps_done(view, started) - (max(1, view.epoch) - 1) * steps))
    return _Bar("epoch", step, steps, f"{step}/{steps}")


def _wrapped(words: str, width: int) -> str:
    return textwrap.fill(clean(words, 400), max(20, width)) + "\n"


def _next_key(view: RunView, actions: Mapping[str, Action], *, of_work: bool) -> str:
    """Of a run that is over. What a suite has trained, nobody else can resume while that goes on."""
    results, suites = actions["go.results"].key, actions["go.suites"].key
    if view.outcome not in ("failed", "crashed", "aborted"):
        return f"{results} shows the results"
    if not of_work:
        return f"resume: {results}, then {actions['results.resume'].key}"
    if view.outcome == "crashed":  # its runner resumes it, unless it was killed
        return f"{suites} shows whether it goes on"
    return f"retry: {suites}, then {actions['suites.retry'].key}"


def _append_end(text: Text, view: RunView, width: int, next_key: str) -> None:
    """Outcome and the next key in the first line, for narrow panes; then the result, or the reason."""
    finished = view.state.finished
    bad = view.outcome in ("failed", "crashed")
    text.append(
        f"{view.outcome}", "bold red" if bad else "bold green" if view.outcome == "completed" else "bold yellow"
    )
    if view.state.started is not None:
        text.append(f"   {next_key}", "dim")
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
        (epoch.time, f"epoch {epoch.epoch}: best {monitored(epoch.validation, state.summary.monitor)}", "bold")
        for epoch in state.epochs
        if epoch.best
    ]
    lines += _attempt_lines(state.started)
    lines += [(at, words, "dim") for words, at in _phases(view) if words != "idle"]
    request = view.unanswered
    if request is not None:
        lines.append((request.at, f"{request.command} sent, waiting for the engine's answer", "bold yellow"))
    return sorted(lines, key=lambda line: line[0])


def _phases(view: RunView) -> list[tuple[str, float]]:
    """Each with its time; the last, if the run is over, says how it ended."""
    found: list[tuple[str, float]] = list(view.phases)
    if found and found[-1][0] == "finished" and view.outcome is not None:
        found[-1] = (view.outcome, found[-1][1])
    return found


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
