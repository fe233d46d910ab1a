"""Marked runs side by side: curves laid over each other, metrics, and only those settings that differ."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.contract.recipe_schema import fields
from engine.contract.yaml_reader import written
from medtui.client.intervals import intervals_of
from medtui.console.keymap import bindings
from medtui.console.results_text import Detail, title
from medtui.console.theme import series_colour
from medtui.console.widgets.plot import Drawing, Plot, Series
from medtui.text import clean, data_marks, number, shortened


class Compare(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, details: list[Detail]) -> None:
        super().__init__()
        self.details = details

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="compare"):
            yield Plot(id="compare-plot")
            yield Static(compare_text(self.details, dark=self.app.current_theme.dark), markup=False)

    def on_mount(self) -> None:
        self.query_one(Plot).show(compare_drawing(self.details))

    def action_close(self) -> None:
        self.dismiss(None)


def letters(details: list[Detail]) -> list[tuple[str, Detail]]:
    """A, B, C …: the same letter and colour for the same run everywhere."""
    return [(chr(ord("A") + number % 26), detail) for number, detail in enumerate(details)]


def compare_drawing(details: list[Detail]) -> Drawing:
    """Validation AUC an epoch of every run."""
    series = [
        Series(
            letter,
            tuple(float(epoch.epoch) for epoch in detail.state.epochs),
            tuple(epoch.validation.auc for epoch in detail.state.epochs),
            number_,
        )
        for number_, (letter, detail) in enumerate(letters(details))
    ]
    return Drawing(tuple(series), x_title="epoch", empty="none of them finished an epoch", upper=1.0)


def compare_text(details: list[Detail], *, dark: bool) -> Text:
    text = Text()
    first = details[0].state.summary.test
    title(text, "runs")
    for number_, (letter, detail) in enumerate(letters(details)):
        colour = "rgb({},{},{})".format(*series_colour(number_, dark=dark))
        text.append(f"{letter} ", f"bold {colour}")
        text.append(f"{clean(detail.head.run, 60):<52} {clean(detail.head.state, 20)}\n")
        for mark in data_marks(detail.head.synthetic, detail.head.limit):
            text.append(f"  {mark}\n", "bold yellow")
    title(text, "test (95 % intervals), difference to A")
    for letter, detail in letters(details):
        text.append(f"{letter}  ")
        text.append_text(_metrics(detail, first if letter != "A" else None))
    title(text, "what differs in the recipes")
    text.append_text(_recipe_differences(details))
    return text


def _metrics(detail: Detail, first: object) -> Text:
    test = detail.state.summary.test
    if test is None:
        return Text("no test result\n", "dim")
    auc, acc = intervals_of(detail.state.summary)
    text = Text()
    for name, value, interval in (("AUC", test.auc, auc), ("ACC", test.acc, acc)):
        between = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
        base = getattr(first, name.lower(), None)
        change = f" {value - base:+.4f}" if base is not None else ""
        text.append(f"{name} {number(value)}{between}{change}   ")
    text.append("\n")
    return text


def _recipe_differences(details: list[Detail]) -> Text:
    text = Text()
    if any(detail.recipe is None for detail in details):
        return Text("a recipe cannot be read\n", "bold red")
    for spec in fields().values():
        values = [getattr(getattr(detail.recipe, spec.section), spec.name) for detail in details]
        if any(value != values[0] for value in values):
            words = "  ".join(
                f"{letter} {shortened(clean(written(value), 60), 24)}"
                for (letter, _), value in zip(letters(details), values, strict=True)
            )
            text.append(f"{spec.path:<28} {words}\n")
    return text if text.plain else Text("nothing: the recipes are equal\n", "dim")
