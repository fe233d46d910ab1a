"""Marked runs side by side: curves laid over each other, metrics, and only those settings that differ."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.contract.datasets import label_of
from engine.contract.recipe_schema import fields
from engine.contract.yaml_reader import written
from medtui.client.intervals import Interval, difference, intervals_of
from medtui.console.host import host_of
from medtui.console.keymap import bindings
from medtui.console.results_text import Detail, between_words, title
from medtui.console.theme import series_colour
from medtui.console.widgets.plot import Drawing, Plot, Series
from medtui.text import clean, data_marks, number, shortened

SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
REMARK = "Differences have the intervals of independent images (Newcombe 1998); on the same images they are narrower.\n"
VALUE_WIDTH = len("0.9014 [0.835, 0.968]")


class Compare(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, details: list[Detail]) -> None:
        super().__init__()
        self.details = details

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="compare") as pane:
            pane.border_title = f"{len(self.details)} runs compared"
            pane.border_subtitle = f"{host_of(self).actions['help.close'].key}: back"
            yield Static(runs_text(self.details, dark=self.app.current_theme.dark), markup=False)
            plot = Plot(id="compare-plot")
            plot.border_title, plot.border_subtitle = "validation AUC", "epoch"
            yield plot
            yield Static(id="compare-text", markup=False)

    def on_mount(self) -> None:
        self.query_one(Plot).show(compare_drawing(self.details))

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


def compare_drawing(details: list[Detail]) -> Drawing:
    """Validation AUC an epoch of every run; each curve ends in the letter of its run."""
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
    return Drawing(tuple(series), x_title="epoch", empty="none of them finished an epoch", upper=1.0)


def runs_text(details: list[Detail], *, dark: bool) -> Text:
    """Which letter and colour is which run, and of which data its results are."""
    text = Text()
    for number_, (letter, detail) in enumerate(lettered(details)):
        head = detail.head
        colour = "rgb({},{},{})".format(*series_colour(number_, dark=dark))
        text.append(f"{letter} ", f"bold {colour}")
        text.append(f"{clean(head.run, 60)}\n", "bold")
        text.append(f"  {clean(head.state, 36)}, {clean(label_of(head.dataset or '?', head.size))}")
        for mark in data_marks(head.synthetic, head.limit):
            text.append(f", {mark}", "bold yellow")
        text.append(f", epochs {head.epochs}\n")
    text.rstrip()
    return text


def compare_text(details: list[Detail], width: int) -> Text:
    text = Text()
    for split, name in (("test", "AUC"), ("test", "ACC"), ("test", "F1"), ("validation", "AUC")):
        text.append_text(_metric(details, split, name))
    text.append(REMARK, "dim")
    title(text, "what differs in the recipes")
    text.append_text(_recipe_differences(details, width))
    return text


def _metric(details: list[Detail], split: str, name: str) -> Text:
    """One metric of every run, with its interval and its difference to the first; nothing where no run has it."""
    rows = [(letter, detail, *_value(detail, split, name)) for letter, detail in lettered(details)]
    text = Text()
    if all(value is None for _, _, value, _ in rows):
        return text
    title(text, f"{split} {name}{', 95 %' * any(between for *_, between in rows)}; difference to A")
    _, first, base, of_base = rows[0]
    for letter, detail, value, between in rows:
        words = f"{number(value)}{between_words(between)}"
        text.append(f"{letter}  ", "bold")
        text.append(f"{words:<{VALUE_WIDTH}}")
        if detail is not first and value is not None and base is not None:
            if _same_data(detail, first):
                change = difference(base, of_base, value, between)
                text.append(f"  {value - base:+.4f}{between_words(change, signed=True)}")
            else:
                text.append("  of other data than A", "dim")
        text.append("\n")
    return text


def _value(detail: Detail, split: str, name: str) -> tuple[float | None, Interval | None]:
    summary = detail.state.summary
    metrics = summary.test if split == "test" else summary.validation
    if metrics is None:
        return None, None
    intervals = dict(zip(("AUC", "ACC"), intervals_of(summary), strict=True)) if split == "test" else {}
    return getattr(metrics, name.lower()), intervals.get(name)


def _same_data(one: Detail, other: Detail) -> bool:
    a, b = one.head, other.head
    return (a.dataset, a.size, a.synthetic, a.limit) == (b.dataset, b.size, b.synthetic, b.limit)


def _recipe_differences(details: list[Detail], width: int) -> Text:
    """A field a line, or a line a value where they are many."""
    text = Text()
    if any(detail.recipe is None for detail in details):
        return Text("a recipe cannot be read\n", "bold red")
    for spec in fields().values():
        values = [getattr(getattr(detail.recipe, spec.section), spec.name) for detail in details]
        if all(value == values[0] for value in values):
            continue
        words = [
            f"{letter} {shortened(clean(written(value), 60), 40)}"
            for (letter, _), value in zip(lettered(details), values, strict=True)
        ]
        line = f"{spec.path:<26} {'  '.join(words)}"
        text.append(line if cell_len(line) <= width else "\n    ".join([spec.path, *words]))
        text.append("\n")
    return text if text.plain else Text("nothing: the recipes are equal\n", "dim")
