"""Marked runs side by side: overlaid curves, metrics, and the settings that differ."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from engine.contract.data.datasets import label_of
from engine.contract.store.starting_weights import describe_origin
from engine.contract.wire.errors import MedtuiError
from medtui.actions import Action
from medtui.client.comparison import (
    METRICS,
    RULE,
    Compared,
    MetricRow,
    comparison_csv,
    comparison_markdown,
    decision_differences,
    has_intervals,
    metric_rows,
    recipe_differences,
    write_comparison,
)
from medtui.console.results.text import Detail, format_ci95, listed, title
from medtui.console.shell.app_context import context_of
from medtui.console.shell.dialogs import STYLES, Dialog
from medtui.console.shell.frame import DialogKeys
from medtui.console.shell.keymap import bindings
from medtui.console.shell.marked_runs import RunMark
from medtui.console.shell.plain import Static, border_subtitle, border_title
from medtui.console.shell.theme import series_colour
from medtui.console.widgets.plot import Plot, PlotSpec, Series
from medtui.text import UNDEFINED, clean, data_marks, number, shortened

Marked = tuple[RunMark, Detail]
VALUE_WIDTH = len("0.9014 [0.835, 0.968]")
VERDICTS = {"more than noise": ("≠", "bold yellow"), "may be noise": ("≈", "dim"), "unknown": ("?", "dim")}
LEGEND = "≠ more than noise   ≈ may be noise   ? no interval"


class Compare(ModalScreen[None]):
    CSS_PATH = STYLES
    BINDINGS: ClassVar[list[BindingType]] = bindings("compare")

    def __init__(self, marked: list[Marked]) -> None:
        super().__init__()
        self.marked = marked

    @property
    def _runs(self) -> list[Compared]:
        return [compared(mark, detail) for mark, detail in self.marked]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="compare") as pane:
            border_title(pane, f"{len(self.marked)} runs compared")
            yield Static(id="compare-runs")
            yield Static(id="compare-metrics")
            plot = Plot(id="compare-plot")
            border_title(plot, "validation AUC")
            border_subtitle(plot, "epoch")
            yield plot
            yield Static(id="compare-differences")
        yield DialogKeys("compare")

    def on_mount(self) -> None:
        self.query_one(Plot).show(compare_plot(self.marked))
        self.query_one("#compare").focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_text)

    def _show_text(self) -> None:
        width = max(40, self.query_one("#compare").content_size.width - 1)
        dark = self.app.current_theme.dark
        self.query_one("#compare-runs", Static).update(runs_text(self.marked, width, dark=dark))
        self.query_one("#compare-metrics", Static).update(metrics_text(self._runs))
        self.query_one("#compare-differences", Static).update(differences_text(self._runs, width))

    def action_close(self) -> None:
        self.dismiss(None)

    def action_help(self) -> None:
        self.app.push_screen(CompareHelp())

    def action_csv(self) -> None:
        self._export("csv")

    def action_markdown(self) -> None:
        self._export("md")

    @work(exclusive=True, group="export")
    async def _export(self, suffix: str) -> None:
        context = context_of(self)
        if not context.may_change():
            return
        text = comparison_csv(self._runs) if suffix == "csv" else comparison_markdown(self._runs)
        day = f"{context.today():%Y%m%d}"
        try:
            path = await asyncio.to_thread(write_comparison, context.workspace.folder, text, day, suffix)
        except MedtuiError as error:
            context.show_toast(str(error), severity="error")
        else:
            context.show_toast(f"Written to {path}.")


class CompareHelp(Dialog[None]):
    """The keys, and the rule that differences are judged by."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(compare_help(list(context_of(self).actions.values())))


def compare_help(actions: list[Action]) -> Text:
    text = Text("comparison\n", "bold underline")
    for action in actions:
        if action.scope == "compare":
            text.append(f"  {action.key:<6}", "bold")
            text.append(f" {clean(action.help)}")
            text.append(f"  {action.id}\n", "dim")
    text.append("\nnoise\n", "bold underline")
    text.append(f"  {LEGEND}\n{RULE}\n")
    return text


def compared(mark: RunMark, detail: Detail) -> Compared:
    summary = detail.state.summary
    return Compared(mark.sign, detail.run_row, summary.validation, summary.test, detail.recipe)


def compare_plot(marked: list[Marked]) -> PlotSpec:
    """Validation AUC per epoch of every run; each curve ends in the letter of its run."""
    series = [
        Series(
            mark.sign,
            tuple(float(epoch.epoch) for epoch in detail.state.epochs),
            tuple(epoch.validation.auc for epoch in detail.state.epochs),
            mark.colour,
            sign=mark.sign,
        )
        for mark, detail in marked
    ]
    return PlotSpec(tuple(series), x_title="epoch", empty="no run has finished an epoch", upper=1.0)


def runs_text(marked: list[Marked], width: int, *, dark: bool) -> Text:
    """Letter and colour of each run, and the data of its results."""
    text = Text()
    for mark, detail in marked:
        run_row = detail.run_row
        colour = "rgb({},{},{})".format(*series_colour(mark.colour, dark=dark))
        text.append(f"{mark.sign} ", f"bold {colour}")
        text.append(f"{clean(run_row.run, 60)}\n", "bold")
        facts = [(clean(run_row.state, 36), ""), (clean(label_of(run_row.dataset or "?", run_row.size)), "")]
        marks = data_marks(run_row.synthetic, run_row.limit, run_row.input_size)
        facts += [(words, "bold yellow") for words in marks]
        facts += [(clean(describe_origin(run_row.weights), 80), ""), (f"epochs {run_row.epochs}", "")]
        text.append_text(listed(facts, width, indent=2))
    text.rstrip()
    return text


def metrics_text(runs: list[Compared]) -> Text:
    text = Text()
    for split, name in METRICS:
        text.append_text(_metric(runs, split, name))
    return text.append(f"{LEGEND}\n", "dim")


def differences_text(runs: list[Compared], width: int) -> Text:
    text = Text()
    title(text, "recipe differences")
    text.append_text(_recipe_differences(runs, width))
    title(text, "differences in automatic choices")
    return text.append_text(_decision_differences(runs, width))


def _metric(runs: list[Compared], split: str, name: str) -> Text:
    """One metric of every run, with its interval and its difference from the first; nothing where no run has it."""
    rows, text = metric_rows(runs, split, name), Text()
    if all(row.value is None for row in rows):
        return text
    title(text, f"{split} {name}{', 95 %' * has_intervals(split, name)}; difference from {runs[0].sign}")
    for run, row in zip(runs, rows, strict=True):
        text.append(f"{run.sign}  ", "bold")
        text.append_text(_metric_row(row, has_ci95=has_intervals(split, name)))
        if row.verdict == "other data":
            text.append(f"  on other data than {runs[0].sign}", "dim")
        text.append("\n")
    return text


def _metric_row(row: MetricRow, *, has_ci95: bool) -> Text:
    words = f"{number(row.value)}{format_ci95(row.ci95) * (has_ci95 and row.value is not None)}"
    text = Text(f"{words:<{VALUE_WIDTH}}")
    if row.change is not None:
        text.append(f"  {row.change:+.4f}{format_ci95(row.change_ci95, signed=True) * has_ci95}")
        if has_ci95 and row.verdict in VERDICTS:
            sign, style = VERDICTS[row.verdict]
            text.append(f" {sign}", style)
    return text


def _recipe_differences(runs: list[Compared], width: int) -> Text:
    rows = recipe_differences(runs)
    if rows is None:
        return Text("a recipe cannot be read\n", "bold red")
    return _differences(rows, runs, width) or Text("none: the recipes are equal\n", "dim")


def _decision_differences(runs: list[Compared], width: int) -> Text:
    unknown = [run.sign for run in runs if run.run_row.resolved is None]
    if unknown:
        values = [run.run_row.weights or UNDEFINED for run in runs]  # known for every version
        rows = {"weights": values} if len(set(values)) > 1 else {}
        return _differences(rows, runs, width).append(f"not recorded for {', '.join(unknown)}\n", "dim")
    text = _differences(decision_differences(runs), runs, width)
    text = text or Text("none: the same automatic choices\n", "dim")
    hashes = {run.run_row.resolved_hash for run in runs}
    if len(hashes) == 1 and None not in hashes:
        text.append("These runs are the same experiment.\n", "dim")
    return text


def _differences(rows: dict[str, list[str]], runs: list[Compared], width: int) -> Text:
    """One name per line, or one line per value where they are many; nothing where all are equal."""
    text = Text()
    for name, values in rows.items():
        words = [f"{run.sign} {shortened(clean(value, 60), 40)}" for run, value in zip(runs, values, strict=True)]
        line = f"{name:<26} {'  '.join(words)}"
        text.append(line if cell_len(line) <= width else "\n    ".join([name, *words]))
        text.append("\n")
    return text
