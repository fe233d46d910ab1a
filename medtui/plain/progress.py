"""How a headless run is shown to a person: rich progress on a terminal, plain lines without one."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from rich.progress import BarColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from engine.contract.findings.rules import findings
from engine.contract.store.starting_weights import describe_origin
from engine.contract.wire.errors import ABORTED, STOPPED, UsageError, WorkspaceLocked
from engine.contract.wire.protocol import (
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
from engine.contract.wire.text import counted, format_bytes
from medtui.client.state import RunState
from medtui.eta import Eta
from medtui.output import print_error
from medtui.rich_output import CleanConsole, print_wrapped
from medtui.sentences import EngineDeath
from medtui.text import clean, data_marks, duration, interval, monitored, number, shortened


class CleanColumn(TextColumn):
    """Text in a row of bars."""

    def __init__(self, text_format: str) -> None:
        super().__init__(text_format, markup=False)

    def render(self, task: Task) -> Text:
        return Text(clean(super().render(task).plain, 400))


class PlainLines:
    """One line per event, for logs and pipes."""

    def __init__(self, console: CleanConsole, *, verbose: bool = False) -> None:
        self.console = console
        self.verbose = verbose

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None:
        for text, style in _lines(event, state):
            print_wrapped(self.console, text, style=style)
        if self.verbose and isinstance(event, EpochFinished):
            self.console.print(per_class_table(event.per_class, "validation, worst first"))

    def progress(self, progress: Progress, state: RunState) -> None:
        pass

    def note(self, text: str) -> None:
        print_wrapped(self.console, text)

    def end(self, finished: RunFinished, state: RunState) -> None:
        print_results(self.console, finished, state)


class LiveBars(PlainLines):
    """Bars for epochs and for batches of the current one, with ETA, losses and AUC; the lines scroll above them."""

    def __init__(self, console: CleanConsole, *, verbose: bool = False) -> None:
        super().__init__(console, verbose=verbose)
        columns = (
            CleanColumn("{task.description:<9}"),
            BarColumn(bar_width=None),
            CleanColumn("{task.fields[count]}"),
            CleanColumn("{task.fields[note]}"),
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
        best = self._best(state)
        note = f"eta {duration(eta)}  {best}" if eta is not None else best
        if self._epochs is None:
            self._epochs = self._bars.add_task("run", total=epochs, count="", note="")
        done = progress.done / steps
        self._bars.update(self._epochs, completed=done, count=f"{progress.epoch}/{epochs}", note=note)
        rate = f"{progress.images_per_second or 0:,.0f} img/s"
        self._show_batches("epoch", progress.step, steps, f"loss {number(progress.loss)}  {rate}")

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None:
        super().event(line, event, state)
        if isinstance(event, EpochFinished) and self._epochs is not None:  # no progress may come after the last one
            self._bars.update(self._epochs, note=self._best(state))

    @staticmethod
    def _best(state: RunState) -> str:
        found = state.summary
        return f"best {monitored(found.validation, found.monitor)}" if found.validation is not None else ""

    def _show_batches(self, description: str, done: int, total: int, note: str, unit: str | None = None) -> None:
        if self._batches is None:
            self._batches = self._bars.add_task("", total=1, count="", note="")
        count = f"{format_bytes(done)} of {format_bytes(total)}" if unit == "bytes" else f"{done}/{total}"
        self._bars.update(
            self._batches, description=description, completed=done, total=total or None, count=count, note=note
        )

    def end(self, finished: RunFinished, state: RunState) -> None:
        self._bars.stop()
        super().end(finished, state)


def _lines(event: AnyEvent | None, state: RunState) -> list[tuple[str, str | None]]:
    """An event as text for a person; (text, style) pairs."""
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
            return [(event.message, {"warning": "yellow", "error": "red"}.get(event.level))]
        case Alarm():
            return [(f"! {event.message} {event.hint}", "bold red")]
        case CommandAccepted() if event.command != "start":
            soon = f"takes about {duration(event.expected)}" if event.expected >= 1 else ""
            words = "; ".join(filter(None, (event.note, soon)))
            return [(": ".join(filter(None, (f"{event.command} accepted ({event.by})", words))), "yellow")]
        case CommandRejected():
            return [(f"{event.command} rejected: {event.reason}", "yellow")]
        case _:
            return []


def _introduction(event: RunStarted) -> list[str]:
    marks = "".join(f", {mark}" for mark in data_marks(event.synthetic, event.limit, event.input_size))
    images = " / ".join(f"{event.images.get(split, 0):,}" for split in ("train", "val", "test"))
    decisions = ", ".join(
        f"{name} {clean(value, 90).removeprefix(f'{name} ')}" for name, value in event.decisions.items()
    )
    where = event.resumed_from
    resumed = f", attempt {event.attempt}, from epoch {where.epoch + 1}, step {where.step}" if where else ""
    return [
        f"Run {event.run}{resumed}",
        f"{event.dataset} {event.size} px{marks}, {images} images; {event.model}, {event.parameters:,} parameters; "
        f"{counted(event.epochs, 'epoch')} of {counted(event.steps_per_epoch, 'step')}",
        f"Resolved: {decisions}",
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
    """One row per class, worst recall first, undefined last."""
    table = Table(title=title, title_justify="left")
    table.add_column("class", no_wrap=True)
    for column in ("recall", "precision", "F1", "AUC", "support"):
        table.add_column(column, justify="right")
    for row in sorted(rows, key=lambda row: (row.recall != row.recall, row.recall)):
        values = (row.recall, row.precision, row.f1, row.auc)
        name = shortened(clean(row.name), 40)
        table.add_row(name, *(number(value) for value in values), str(row.support))
    return table


def metrics_table(validation: Metrics | None, test: Metrics | None, title: str) -> Table:
    """Both splits, and the 95 % intervals of the test split; a dash where none is known."""
    table = Table(title=title, title_justify="left")
    table.add_column("split")
    for column in ("AUC", "ACC", "F1", "loss"):
        table.add_column(column, justify="right")
    for name, metrics in (("validation (best)", validation), ("test", test)):
        if metrics is not None:
            table.add_row(name, *(number(value) for value in (metrics.auc, metrics.acc, metrics.f1, metrics.loss)))
    if test is not None:
        intervals = (test.auc_ci95, test.acc_ci95)
        table.add_row("test, 95 %", *map(interval, intervals))
    return table


def print_results(console: CleanConsole, finished: RunFinished, state: RunState) -> None:
    """The table of results, the paths of report and figures, and how it ended."""
    summary = state.summary
    if finished.error is not None and state.started is None:  # a refusal, as every command reports it
        print_error(f"medtui: {finished.error.message} {finished.error.hint}".strip())
    elif finished.error is not None:
        print_wrapped(console, finished.error.message, style="bold red")
        if finished.error.hint:
            print_wrapped(console, finished.error.hint)
    validation, test = finished.metrics.get("validation"), finished.metrics.get("test")
    if validation or test:
        trained = clean(f"{summary.model} {describe_origin(summary.weights)}", 200)
        marks = data_marks(summary.synthetic, summary.limit, summary.input_size)
        title = ", ".join([str(summary.dataset), *marks, trained])
        if summary.model is None:  # the journal has lost how the run began
            title = "results; the rest of its journal is damaged"
        console.print(metrics_table(validation, test, title))
    if test is not None and summary.per_class:
        console.print(per_class_table(summary.per_class, "test, worst first"))
    for finding in findings(state.history):
        console.print(f"stands out: {clean(str(finding), 1000)}", style="yellow", soft_wrap=True)
    for change in summary.drift:
        print_wrapped(console, f"drift between attempts: {clean(change, 200)}", style="yellow")
    if finished.run_dir is not None:
        _print_paths(console, Path(finished.run_dir), summary.artifacts)
    on_request = finished.error is not None and finished.error.code == EngineDeath.KILLED_ON_REQUEST.code
    is_refused = state.started is None and finished.exit_code in (UsageError.exit_code, WorkspaceLocked.exit_code)
    word = "killed" if on_request else "refused" if is_refused else finished.outcome
    console.print(f"{word} (exit code {finished.exit_code})")
    if finished.exit_code in (STOPPED, ABORTED) and state.started is not None and state.last_checkpoint is not None:
        print_wrapped(console, f"`medtui run --resume {quote(state.started.run)}` resumes it.")


def _print_paths(console: CleanConsole, run_dir: Path, artifacts: dict[str, str]) -> None:
    if "report" in artifacts:
        console.print(f"report   {run_dir / artifacts['report']}", soft_wrap=True)
    if any(name.startswith("figure_") for name in artifacts):
        console.print(f"figures  {run_dir / 'figures'}", soft_wrap=True)
    console.print(f"run      {run_dir}", soft_wrap=True)
