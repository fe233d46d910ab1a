"""How a headless run is shown to a person: rich progress on a terminal, plain lines without one."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table

from engine.contract.data_files import bytes_words
from engine.contract.protocol import (
    Alarm,
    AnyEvent,
    ClassMetrics,
    CommandAccepted,
    CommandRejected,
    EpochFinished,
    Log,
    Metrics,
    PhaseChanged,
    Progress,
    RunFinished,
    RunStarted,
)
from engine.contract.status import RunSummary
from medtui.client.intervals import intervals_of
from medtui.client.state import RunState
from medtui.pace import Eta
from medtui.text import UNDEFINED, clean, data_marks, duration, number, shortened


class PlainLines:
    """A line an event, for logs and pipes."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self.console = console
        self.verbose = verbose

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None:
        for text, style in _lines(event, state):
            self.console.print(text, style=style, markup=False, soft_wrap=True)
        if self.verbose and isinstance(event, EpochFinished):
            self.console.print(per_class_table(event.per_class, "validation, worst first"))

    def progress(self, progress: Progress, state: RunState) -> None:
        pass

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def end(self, finished: RunFinished, state: RunState) -> None:
        print_results(self.console, finished, state)


class LiveBars(PlainLines):
    """Bars for the epochs and for the batches of this one, with ETA, losses and AUC; the lines scroll above them."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        super().__init__(console, verbose=verbose)
        columns = (
            TextColumn("{task.description:<9}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self._bars = Bars(*columns, console=console, transient=True)
        self._epochs: TaskID | None = None
        self._batches: TaskID | None = None
        self._eta = Eta()
        self._bars.start()

    def progress(self, progress: Progress, state: RunState) -> None:
        if progress.step is None or state.started is None:
            self._show_batches(clean(progress.activity, 24), progress.done, progress.total, "", progress.unit)
            return
        steps, epochs = state.started.steps_per_epoch, state.started.epochs
        eta = self._eta.after(progress.done, progress.total, state.summary.worked_at(progress.time))
        best = f"best AUC {number(state.epochs[-1].best_auc)}" if state.epochs else ""
        note = f"eta {duration(eta)}  {best}" if eta is not None else best
        if self._epochs is None:
            self._epochs = self._bars.add_task("run", total=epochs, count="", note="")
        done = progress.done / steps
        self._bars.update(self._epochs, completed=done, count=f"{progress.epoch}/{epochs}", note=note)
        rate = f"{progress.images_per_second or 0:,.0f} img/s"
        self._show_batches("epoch", progress.step, steps, f"loss {number(progress.loss)}  {rate}")

    def _show_batches(self, description: str, done: int, total: int, note: str, unit: str | None = None) -> None:
        if self._batches is None:
            self._batches = self._bars.add_task("", total=1, count="", note="")
        count = f"{bytes_words(done)} of {bytes_words(total)}" if unit == "bytes" else f"{done}/{total}"
        self._bars.update(
            self._batches, description=description, completed=done, total=total or None, count=count, note=note
        )

    def end(self, finished: RunFinished, state: RunState) -> None:
        self._bars.stop()
        super().end(finished, state)


def _lines(event: AnyEvent | None, state: RunState) -> list[tuple[str, str | None]]:
    """What a person reads of an event; (text, style) pairs."""
    match event:
        case RunStarted():
            return [(text, None) for text in _introduction(event)]
        case EpochFinished():
            return [(_epoch_line(event, state), "bold" if event.best else None)]
        case PhaseChanged(phase="paused"):
            return [("Paused; the workspace stays locked.", "yellow")]
        case PhaseChanged(phase="preparing" | "evaluating" | "reporting"):
            return [(f"{event.phase.capitalize()} …", None)]
        case Log():
            return [(clean(event.message), {"warning": "yellow", "error": "red"}.get(event.level))]
        case Alarm():
            return [(f"! {clean(event.message)} {clean(event.hint)}", "bold red")]
        case CommandAccepted() if event.command != "start":
            soon = f"takes about {duration(event.expected)}" if event.expected >= 1 else ""
            words = "; ".join(filter(None, (clean(event.note), soon)))
            return [
                (": ".join(filter(None, (f"{clean(event.command)} accepted ({clean(event.by)})", words))), "yellow")
            ]
        case CommandRejected():
            return [(f"{clean(event.command)} rejected: {clean(event.reason)}", "yellow")]
        case _:
            return []


def _introduction(event: RunStarted) -> list[str]:
    marks = "".join(f", {mark}" for mark in data_marks(event.synthetic, event.limit))
    images = " / ".join(f"{event.images.get(split, 0):,}" for split in ("train", "val", "test"))
    decisions = ", ".join(f"{name} {clean(value, 90)}" for name, value in event.decisions.items())
    where = event.resumed_from
    resumed = f", attempt {event.attempt}, from epoch {where.epoch + 1}, step {where.step}" if where else ""
    return [
        f"Run {event.run}{resumed}",
        f"{event.dataset} {event.size} px{marks}, {images} images; {event.model}, {event.parameters:,} parameters; "
        f"{event.epochs} epochs of {event.steps_per_epoch} steps",
        f"Decided: {decisions}",
        *(f"Drift between attempts: {clean(change, 200)}" for change in event.drift),
    ]


def _epoch_line(event: EpochFinished, state: RunState) -> str:
    epochs = state.started.epochs if state.started else event.epoch
    mark = "  * best" if event.best else ""
    return (  # 80 columns hold it
        f"epoch {event.epoch:>{len(str(epochs))}}/{epochs}  loss {number(event.train_loss)}  "
        f"val {number(event.validation.loss)}  AUC {number(event.validation.auc)}  "
        f"ACC {number(event.validation.acc)}  {event.images_per_second:,.0f} img/s{mark}"
    )


def per_class_table(rows: list[ClassMetrics], title: str) -> Table:
    """One row a class, worst recall first, undefined last."""
    table = Table(title=title, title_justify="left")
    table.add_column("class", no_wrap=True)
    for column in ("recall", "precision", "F1", "AUC", "support"):
        table.add_column(column, justify="right")
    for row in sorted(rows, key=lambda row: (row.recall != row.recall, row.recall)):
        values = (row.recall, row.precision, row.f1, row.auc)
        name = shortened(clean(row.name), 40).replace("[", r"\[")
        table.add_row(name, *(number(value) for value in values), str(row.support))
    return table


def metrics_table(summary: RunSummary, validation: Metrics | None, test: Metrics | None, title: str) -> Table:
    """Both splits, and the 95 % intervals of the test split where there are any."""
    table = Table(title=title, title_justify="left")
    table.add_column("split")
    for column in ("AUC", "ACC", "F1", "loss"):
        table.add_column(column, justify="right")
    for name, metrics in (("validation (best)", validation), ("test", test)):
        if metrics is not None:
            table.add_row(name, *(number(value) for value in (metrics.auc, metrics.acc, metrics.f1, metrics.loss)))
    if test is not None and any(between := intervals_of(summary)):
        table.add_row("test, 95 %", *(f"{one[0]:.3f}–{one[1]:.3f}" if one else UNDEFINED for one in between))
    return table


def print_results(console: Console, finished: RunFinished, state: RunState) -> None:
    """The table of results, the paths of report and figures, and how it ended."""
    summary = state.summary
    if finished.error is not None:
        console.print(clean(finished.error.message), style="bold red", markup=False)
        if finished.error.hint:
            console.print(clean(finished.error.hint), markup=False)
    validation, test = finished.metrics.get("validation"), finished.metrics.get("test")
    if validation or test:
        title = ", ".join([str(summary.dataset), *data_marks(summary.synthetic, summary.limit)])
        console.print(metrics_table(summary, validation, test, title))
    if test is not None:
        console.print(per_class_table(summary.per_class, "test, worst first"))
    for change in summary.drift:
        console.print(f"drift between attempts: {clean(change, 200)}", style="yellow", markup=False)
    if finished.run_dir is not None:
        _print_paths(console, Path(finished.run_dir), summary.artifacts)
    console.print(f"{finished.outcome} (exit code {finished.exit_code})", markup=False)


def _print_paths(console: Console, run_dir: Path, artifacts: dict[str, str]) -> None:
    if "report" in artifacts:
        console.print(f"report   {clean(str(run_dir / artifacts['report']))}", markup=False, soft_wrap=True)
    if any(name.startswith("figure_") for name in artifacts):
        console.print(f"figures  {clean(str(run_dir / 'figures'))}", markup=False, soft_wrap=True)
    console.print(f"run      {clean(str(run_dir))}", markup=False, soft_wrap=True)


def started_at(text: str) -> str:
    """A manifest's UTC time, local and short."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):  # no time, or one at the ends of the calendar
        return clean(text, 20)
