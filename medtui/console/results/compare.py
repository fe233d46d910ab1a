"""Marked runs side by side: overlaid curves, metrics, and the settings that differ."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from engine.contract.data.datasets import label_of
from engine.contract.recipe.schema import fields
from engine.contract.recipe.yaml_reader import written
from engine.contract.store.starting_weights import describe_origin
from engine.contract.wire.protocol import Ci95
from engine.contract.wire.resolved import describe_values
from medtui.client.intervals import difference
from medtui.console.results.text import Detail, format_ci95, title
from medtui.console.shell.app_context import key_of
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static, border_subtitle, border_title
from medtui.console.shell.theme import series_colour
from medtui.console.widgets.plot import Plot, PlotSpec, Series
from medtui.text import UNDEFINED, clean, data_marks, number, shortened

SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
REMARK = "Intervals of differences assume independent images (Newcombe 1998); on the same images they are narrower.\n"
WITH_CI95 = {("test", "AUC"), ("test", "ACC")}
VALUE_WIDTH = len("0.9014 [0.835, 0.968]")


class Compare(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, details: list[Detail]) -> None:
        super().__init__()
        self.details = details

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="compare") as pane:
            back = f"{key_of(self, 'help.close')}: back"
            border_title(pane, f"{len(self.details)} runs compared")
            border_subtitle(pane, back)
            yield Static(runs_text(self.details, dark=self.app.current_theme.dark))
            plot = Plot(id="compare-plot")
            border_title(plot, "validation AUC")
            border_subtitle(plot, "epoch")
            yield plot
            yield Static(id="compare-text")

    def on_mount(self) -> None:
        self.query_one(Plot).show(compare_plot(self.details))

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_text)

    def _show_text(self) -> None:
        width = max(40, self.query_one("#compare").content_size.width - 1)
        self.query_one("#compare-text", Static).update(compare_text(self.details, width))

    def action_close(self) -> None:
        self.dismiss(None)


def lettered(details: list[Detail]) -> list[tuple[str, Detail]]:
    """A, B, C …: the same letter and colour for the same run everywhere."""
    return [(SIGNS[number % len(SIGNS)], detail) for number, detail in enumerate(details)]


def compare_plot(details: list[Detail]) -> PlotSpec:
    """Validation AUC per epoch of every run; each curve ends in the letter of its run."""
    series = [
        Series(
            letter,
            tuple(float(epoch.epoch) for epoch in detail.state.epochs),
            tuple(epoch.validation.auc for epoch in detail.state.epochs),
            number_,
            sign=letter,
        )
        for number_, (letter, detail) in enumerate(lettered(details))
    ]
    return PlotSpec(tuple(series), x_title="epoch", empty="no run has finished an epoch", upper=1.0)


def runs_text(details: list[Detail], *, dark: bool) -> Text:
    """Letter and colour of each run, and the data of its results."""
    text = Text()
    for number_, (letter, detail) in enumerate(lettered(details)):
        run_row = detail.run_row
        colour = "rgb({},{},{})".format(*series_colour(number_, dark=dark))
        text.append(f"{letter} ", f"bold {colour}")
        text.append(f"{clean(run_row.run, 60)}\n", "bold")
        text.append(f"  {clean(run_row.state, 36)}, {clean(label_of(run_row.dataset or '?', run_row.size))}")
        for mark in data_marks(run_row.synthetic, run_row.limit):
            text.append(f", {mark}", "bold yellow")
        text.append(f", {clean(describe_origin(run_row.weights), 80)}, epochs {run_row.epochs}\n")
    text.rstrip()
    return text


def compare_text(details: list[Detail], width: int) -> Text:
    text = Text()
    for split, name in (("test", "AUC"), ("test", "ACC"), ("test", "F1"), ("validation", "AUC")):
        text.append_text(_metric(details, split, name))
    text.append(REMARK, "dim")
    title(text, "recipe differences")
    text.append_text(_recipe_differences(details, width))
    title(text, "differences in automatic choices")
    text.append_text(_decision_differences(details, width))
    return text


def _metric(details: list[Detail], split: str, name: str) -> Text:
    """One metric of every run, with its interval and its difference to the first; nothing where no run has it."""
    rows = [(letter, detail, *_value(detail, split, name)) for letter, detail in lettered(details)]
    text = Text()
    if all(value is None for _, _, value, _ in rows):
        return text
    has_ci95 = (split, name) in WITH_CI95
    title(text, f"{split} {name}{', 95 %' * has_ci95}; difference from A")
    _, first, base, of_base = rows[0]
    for letter, detail, value, ci95 in rows:
        words = f"{number(value)}{format_ci95(ci95) * (has_ci95 and value is not None)}"
        text.append(f"{letter}  ", "bold")
        text.append(f"{words:<{VALUE_WIDTH}}")
        if detail is not first and value is not None and base is not None:
            if _same_data(detail, first):
                change = difference(base, of_base, value, ci95)
                text.append(f"  {value - base:+.4f}{format_ci95(change, signed=True) * has_ci95}")
            else:
                text.append("  on other data than A", "dim")
        text.append("\n")
    return text


def _value(detail: Detail, split: str, name: str) -> tuple[float | None, Ci95 | None]:
    summary = detail.state.summary
    metrics = summary.test if split == "test" else summary.validation
    if metrics is None:
        return None, None
    ci95 = getattr(metrics, f"{name.lower()}_ci95") if (split, name) in WITH_CI95 else None
    return getattr(metrics, name.lower()), ci95


def _same_data(one: Detail, other: Detail) -> bool:
    a, b = one.run_row, other.run_row
    return (a.dataset, a.size, a.synthetic, a.limit) == (b.dataset, b.size, b.synthetic, b.limit)


def _recipe_differences(details: list[Detail], width: int) -> Text:
    if any(detail.recipe is None for detail in details):
        return Text("a recipe cannot be read\n", "bold red")
    rows = {
        spec.path: [written(getattr(getattr(detail.recipe, spec.section), spec.name)) for detail in details]
        for spec in fields().values()
    }
    return _differences(rows, details, width) or Text("none: the recipes are equal\n", "dim")


def _decision_differences(details: list[Detail], width: int) -> Text:
    unknown = [letter for letter, detail in lettered(details) if detail.run_row.resolved is None]
    if unknown:
        weights = {"weights": [detail.run_row.weights or UNDEFINED for detail in details]}  # known for every version
        return _differences(weights, details, width).append(f"not recorded for {', '.join(unknown)}\n", "dim")
    starts = [describe_values(detail.run_row.resolved) for detail in details]
    rows = {name: [values[name] for values in starts] for name in starts[0]}
    text = _differences(rows, details, width) or Text("none: the runs used the same settings\n", "dim")
    hashes = {detail.run_row.resolved_hash for detail in details}
    if len(hashes) == 1 and None not in hashes:
        text.append("These runs are the same experiment.\n", "dim")
    return text


def _differences(rows: dict[str, list[str]], details: list[Detail], width: int) -> Text:
    """One name per line, or one line per value where they are many; nothing where all are equal."""
    text = Text()
    for name, values in rows.items():
        if all(value == values[0] for value in values):
            continue
        words = [
            f"{letter} {shortened(clean(value, 60), 40)}"
            for (letter, _), value in zip(lettered(details), values, strict=True)
        ]
        line = f"{name:<26} {'  '.join(words)}"
        text.append(line if cell_len(line) <= width else "\n    ".join([name, *words]))
        text.append("\n")
    return text
