"""A suite or the queue without a console: the runner's loop, its signals, and what is shown of its runs."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, TaskID
from rich.progress import Progress as Bars

from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.run_record import read_run
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import DiskFull, MedtuiError, OutputError
from engine.contract.wire.text import counted
from medtui.client.view import RunView
from medtui.output import print_json_line
from medtui.plain.headless import counted_signals
from medtui.plain.progress import CleanColumn
from medtui.rich_output import CleanConsole, print_wrapped
from medtui.suites.runner import Living, Runner
from medtui.suites.status import describe_counts, exit_code_of
from medtui.suites.work import Event, Item, Work
from medtui.text import json_line, monitored, number, shortened

TURN = 0.1  # seconds from one turn of the runner to the next
STYLES = {"failed": "red", "stopped": "yellow", "aborted": "yellow", "killed": "yellow"}
REQUESTS = {
    1: "Stopping all runs after their batch; the best weights will be evaluated.",
    2: "Aborting all runs after their batch; checkpoints are kept.",
    3: "Killing all engines.",
}
AGAIN = {1: " Ctrl-C again aborts.", 2: " Ctrl-C again kills."}


class Worker(Protocol):
    """What works on a suite, a search or the queue: a runner, or a coordinator of jobs."""

    @property
    def work(self) -> Work: ...

    def views(self) -> Iterator[tuple[Living, Item]]: ...


class WorkDisplay(Protocol):
    """A way to show a suite or the queue."""

    def event(self, event: Event, item: Item) -> None: ...

    def show(self, worker: Worker) -> None: ...

    def note(self, text: str) -> None: ...

    def end(self, work: Work) -> None: ...

    def close(self) -> None: ...


def run_work(runner: Runner, display: WorkDisplay, *, stays: bool = False) -> int:
    """Work until nothing is left, or to a signal. Its exit code. `stays`: wait for what is added.

    A terminal that goes away ends nothing. Raises WorkspaceLocked or OutputError.
    """
    is_queue = runner.store.kind == "queue"
    ended_before = {item.id for item in runner.work.items.values() if item.over} if is_queue else set()
    with counted_signals() as interrupts, hang_up_ignored():
        runner.take_workspace()
        saved = 0
        try:
            while not runner.over or (stays and not runner.finishing and runner.level == 0):
                if interrupts.handled < interrupts.level:
                    level = interrupts.next()
                    display.note(_describe_request(level, interrupts.warning))
                    runner.request(level)
                if saved < interrupts.checkpoints:
                    saved = interrupts.checkpoints
                    _save_all(runner)
                runner.turn()
                display.show(runner)
                time.sleep(TURN)
            display.close()
            display.end(runner.work)
        except OutputError:
            if n := len(runner.living):
                display.note(f"{counted(n, 'live run')} of it continue{'s' * (n == 1)} without a runner.")
            raise
        finally:
            display.close()
            runner.close()
    if runner.trouble is not None:
        display.note(f"No more runs are started: {runner.trouble.message} {runner.trouble.hint}".rstrip())
        return DiskFull.exit_code if runner.trouble.kind == DiskFull.kind else OutputError.exit_code
    return exit_code_of(runner.work, ended_before)


def _describe_request(level: int, warning: str) -> str:
    """`warning`: the signal that asked for it; then there may be no terminal whose Ctrl-C could ask for more."""
    words = REQUESTS[min(level, 3)]
    return f"{warning}: {words}" if warning else words + AGAIN.get(level, "")


def _save_all(runner: Runner) -> None:
    for living, _ in runner.views():
        try:
            if living.handle is not None:
                living.handle.command("checkpoint", "SIGUSR1")
        except MedtuiError:  # it has just ended
            continue


@contextmanager
def hang_up_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


class WorkLines:
    """A line for each run that starts or ends."""

    def __init__(self, console: CleanConsole, workspace: Workspace, total: int | None = None) -> None:
        """`total`: how many there will be; None: as many as there are."""
        self.console, self._workspace, self._total = console, workspace, total
        self.work: Work | None = None

    def event(self, event: Event, item: Item) -> None:
        for text in self._lines(event, item):
            print_wrapped(self.console, self._count() + text, style=STYLES.get(str(event.get("outcome"))))

    def show(self, worker: Worker) -> None:
        self.work = worker.work

    def note(self, text: str) -> None:
        print_wrapped(self.console, text, style="yellow")

    def end(self, work: Work) -> None:
        print_wrapped(self.console, describe_counts(work, self._workspace))

    def close(self) -> None:
        pass

    def _count(self) -> str:
        if self.work is None:
            return ""
        done, n = self._done(self.work)
        return f"[{done:>{len(str(n))}}/{n}] "

    def _done(self, work: Work) -> tuple[int, int]:
        """How many runs are over, of how many."""
        return sum(item.over for item in work.items.values()), self._total or len(work.items)

    def _lines(self, event: Event, item: Item) -> Iterator[str]:
        match event["event"]:
            case "submitted":
                yield f"{item.label}: job {item.job}"
            case "started" | "located":
                yield f"{item.label}: run {item.run}"
            case "interrupted" | "released" if item.log is not None:
                yield f"{item.label}: its job was cancelled or killed"
            case "interrupted":
                yield f"{item.label}: its engine died; it is resumed"
            case "ended" if item.detail == "done before":
                yield f"{item.label}: done before by {item.run}"
            case "ended":
                yield f"{item.label}: {self._result(item)}"

    def _result(self, item: Item) -> str:
        if item.pruned is not None:
            return f"pruned after epoch {item.pruned}" if item.pruned else "left: its trial was pruned"
        detail = f": {item.detail}" if item.detail else ""
        if item.run is None or item.state not in ("completed", "stopped"):
            return f"{item.state}{detail}"
        found = read_run(RunDirectory(self._workspace.outputs / item.run)).summary
        result = f", validation {monitored(found.validation, found.monitor)}" if found.validation else ""
        if found.test is not None:
            result = f", test AUC {number(found.test.auc)}, ACC {number(found.test.acc)}"
        return f"{item.state}{result}{detail}"


class WorkBars(WorkLines):
    """The same, above a bar for each run that lives and one for all."""

    def __init__(self, console: CleanConsole, workspace: Workspace, total: int | None = None) -> None:
        super().__init__(console, workspace, total)
        columns = (
            CleanColumn("{task.description:<34}"),
            BarColumn(bar_width=None),
            CleanColumn("{task.fields[count]:>9}"),
            CleanColumn("{task.fields[note]}"),
        )
        self._bars = Bars(*columns, console=console, transient=True)
        self._all: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}

    def show(self, worker: Worker) -> None:
        if self.work is None:
            self._bars.start()
        super().show(worker)
        living = {item.id: (one, item) for one, item in worker.views()}
        for id_ in [id_ for id_ in self._tasks if id_ not in living]:
            self._bars.remove_task(self._tasks.pop(id_))
        for id_, (one, item) in living.items():
            if id_ not in self._tasks:
                label = shortened(item.label, 34)
                self._tasks[id_] = self._bars.add_task(label, total=1, count="", note="")
            self._bars.update(self._tasks[id_], **_progress(one))  # type: ignore[arg-type]
        self._show_all(worker.work)

    def _show_all(self, work: Work) -> None:
        if self._all is None:
            self._all = self._bars.add_task("all runs", total=1, count="", note="")
        done, n = self._done(work)
        self._bars.update(self._all, completed=done, total=n, count=f"{done}/{n}")

    def close(self) -> None:
        self._bars.stop()


class WorkJson:
    """A JSON line for each change of a run, and one with the counts at the end."""

    def event(self, event: Event, item: Item) -> None:
        values = {**event, "label": item.label, "state": item.state, "run": item.run, "detail": item.detail}
        print_json_line(json_line(values), never_fails=True)

    def show(self, worker: Worker) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def end(self, work: Work) -> None:
        print_json_line(json_line({"event": "finished", "counts": work.counts()}), never_fails=True)

    def close(self) -> None:
        pass


def _progress(living: Living) -> dict[str, object]:
    view = living.handle.view if living.handle is not None else None
    if view is None:
        return {"completed": 0, "count": "", "note": "adopted"}
    return {"completed": _fraction(view), "total": 1, "count": _epoch(view), "note": _note(view)}


def _fraction(view: RunView) -> float:
    started, progress = view.state.started, view.progress
    if started is None or progress is None or progress.epoch is None or progress.step is None:
        return view.epoch / started.epochs if started is not None else 0.0
    return ((progress.epoch - 1) + progress.step / max(1, started.steps_per_epoch)) / started.epochs


def _epoch(view: RunView) -> str:
    started = view.state.started
    return f"{view.epoch}/{started.epochs}" if started is not None else ""


def _note(view: RunView) -> str:
    if view.status_label != "training":
        return view.status_label
    found = view.state.summary
    return monitored(found.validation, found.monitor) if found.validation is not None else ""
