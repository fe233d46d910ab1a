"""Curves. The only module that knows plotext.

plotext raises on infinities and on logarithms of what is not positive, and takes its time over many points; so every
series is cleaned and bucketed to two points a column before it is drawn. What is not finite is marked, not hidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text
from textual_plotext.plot import Plot as Figure

from medtui.console.capability import marks
from medtui.console.theme import series_colour
from medtui.console.widgets.rows import Rows
from medtui.text import number

FRAME = 9  # columns that axis and labels take, about
MINIMUM = (16, 5)  # columns, rows; below it there is only a sentence
HUGE = 1e100  # what is larger, or as much smaller on a log scale, overflows in plotext's arithmetic
DOT = "•"
MARKERS = {"braille": "braille", "block": "hd", "ascii": "*"}


@dataclass(frozen=True)
class Series:
    """One curve. Values may be NaN or infinite."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int  # of the series palette
    faint: bool = False
    dotted: bool = False  # beside another curve: colour is never the only sign
    sign: str = ""  # stands near the curve's end: colour is never the only sign


@dataclass(frozen=True)
class Point:
    """A marked point, such as the best epoch."""

    x: float
    y: float
    sign: str
    words: str


@dataclass(frozen=True)
class Drawing:
    """All that a plot shows. Equal drawings are drawn once."""

    series: tuple[Series, ...] = ()
    points: tuple[Point, ...] = ()
    x_title: str = ""
    log: bool = False
    cursor: float | None = None  # a position on the x axis
    empty: str = "no values yet"
    upper: float | None = None  # of the y axis


@dataclass(frozen=True)
class Bucketed:
    """What of a series is drawn."""

    xs: list[float]
    ys: list[float]
    strange: list[float]  # x of values that are not finite, or that a logarithm cannot show


def bucketed(xs: Sequence[float], ys: Sequence[float], columns: int, *, log: bool = False) -> Bucketed:
    """Lowest and highest of each column, in their order; a lone point survives. O(n) with n at C speed.

    On a log scale only positive values can be drawn; zeros and below count as strange.
    """
    n = min(len(xs), len(ys))
    xs, ys = xs[:n], ys[:n]
    lowest = 1 / HUGE if log else -HUGE

    def drawable(y: float) -> bool:
        return lowest < y < HUGE  # NaN is not

    if all(map(drawable, ys)):
        strange: list[float] = []
    else:
        strange = [x for x, y in zip(xs, ys, strict=True) if not drawable(y)]
        kept = [(x, y) for x, y in zip(xs, ys, strict=True) if drawable(y)]
        xs, ys = [x for x, _ in kept], [y for _, y in kept]
    if len(ys) <= 2 * columns:
        return Bucketed(list(xs), list(ys), strange)
    out_x: list[float] = []
    out_y: list[float] = []
    size = len(ys) / columns
    for column in range(columns):
        start, end = int(column * size), int((column + 1) * size)
        part = ys[start:end]
        low, high = min(part), max(part)
        at_low, at_high = start + part.index(low), start + part.index(high)
        for at in sorted({at_low, at_high}):
            out_x.append(xs[at])
            out_y.append(ys[at])
    return Bucketed(out_x, out_y, strange)


def smoothed(ys: Sequence[float], weight: float = 0.8) -> list[float]:
    """Exponential moving average without the bias of its start; what is not finite passes through and is forgotten."""
    found = []
    mean = share = 0.0
    for y in ys:
        if math.isfinite(y):
            mean = weight * mean + (1 - weight) * y
            share = weight * share + (1 - weight)
            found.append(mean / share)
        else:
            found.append(y)
    return found


def drawn(drawing: Drawing, width: int, height: int, *, dark: bool, marker: str = "braille") -> Text:
    """The drawing as text of exactly this size."""
    if width < MINIMUM[0] or height < MINIMUM[1]:
        return Text("too small for a plot", style="dim")
    parts = [(one, bucketed(one.xs, one.ys, max(4, width - FRAME), log=drawing.log)) for one in drawing.series]
    parts = [(one, part) for one, part in parts if part.ys or part.strange]
    if not any(part.ys for _, part in parts):
        strange = any(part.strange for _, part in parts)
        return Text(
            "every value is NaN or infinite" if strange else drawing.empty, style="bold red" if strange else "dim"
        )
    legend = _legend(drawing, parts, dark)
    body = _figure(drawing, parts, width, height - 1, dark=dark, marker=marker)
    legend.truncate(width)
    return Text("\n").join([legend, body])


def _legend(drawing: Drawing, parts: list[tuple[Series, Bucketed]], dark: bool) -> Text:
    line = Text(no_wrap=True)
    if drawing.cursor is not None:  # first: who asks for values wants to see them, however narrow the place is
        line.append(cursor_words(drawing), "reverse")
        line.append("  ")
    for one, part in parts:
        line.append(("┄ " if one.faint else f"{DOT} " if one.dotted else "─ "), _rich_colour(one.colour, dark))
        line.append(one.name)
        if part.strange:
            line.append(
                f" ✗{len(part.strange)} not finite" if not drawing.log else f" ✗{len(part.strange)} not drawn",
                "bold red",
            )
        line.append("  ")
    for point in drawing.points:
        line.append(f"{point.sign} {point.words}  ", "bold")
    words = [
        word for word in (f"by {drawing.x_title}" if drawing.x_title else "", "log" if drawing.log else "") if word
    ]
    line.append(", ".join(words), "dim")
    return line


def cursor_words(drawing: Drawing) -> str:
    """The values at the cursor."""
    assert drawing.cursor is not None
    words = [f"{drawing.x_title} {drawing.cursor:g}:"]
    for one in drawing.series:
        if one.faint or not one.xs:
            continue
        at = min(range(min(len(one.xs), len(one.ys))), key=lambda i: abs(one.xs[i] - (drawing.cursor or 0.0)))
        words.append(f"{one.name} {number(one.ys[at])}")
    return " ".join(words)


def _figure(
    drawing: Drawing, parts: list[tuple[Series, Bucketed]], width: int, height: int, *, dark: bool, marker: str
) -> Text:
    figure: Any = Figure()
    figure.plotsize(width, height)
    background = (16, 20, 24) if dark else (255, 255, 255)
    figure.canvas_color(background)
    figure.axes_color(background)
    figure.ticks_color((140, 150, 160) if dark else (90, 96, 104))
    if drawing.log:  # drawn as logarithms with labels of ours: plotext's own log scale overflows
        parts = [(one, Bucketed(part.xs, [math.log10(y) for y in part.ys], part.strange)) for one, part in parts]
    ys = [y for _, part in parts for y in part.ys]
    low, high = _limits(figure, drawing, min(ys), max(ys))
    _x_axis(figure, drawing, [x for _, part in parts for x in (*part.xs, *part.strange)], width)
    if drawing.log:
        ticks = log_ticks(low, high, max(2, min(6, height // 3)))
        figure.yticks(ticks, [f"{10**tick:.3g}" for tick in ticks])
    else:
        ticks, labels = round_ticks(low, high, max(2, min(6, height // 3)))
        rows = [round((tick - low) / (high - low) * (height - 4)) for tick in ticks]  # two in one row hide each other
        seen = [number_ for number_, row in enumerate(rows) if row not in rows[:number_]]
        figure.yticks([ticks[n] for n in seen], [labels[n] for n in seen])
    for one, part in parts:
        if part.ys:
            _draw_series(figure, one, part, dark=dark, marker=marker, log=drawing.log)
        if part.strange:  # at the top edge, where a curve that left the scale would be
            spots = part.strange if len(part.strange) <= width else part.strange[:: len(part.strange) // width + 1]
            figure.scatter(list(spots), [high] * len(spots), marker="x", color=(255, 90, 80))
    for number_, (one, part) in enumerate(parts):
        if one.sign and part.ys:  # one before the other: curves may end together
            at = max(0, len(part.xs) - 1 - number_ * max(1, len(part.xs) // 10))
            colour = series_colour(one.colour, dark=dark)
            figure.scatter([part.xs[at]], [part.ys[at]], marker=one.sign, color=colour)
    for point in drawing.points:
        y = point.y if not drawing.log else math.log10(point.y) if point.y > 0 else math.nan
        if low <= y <= high:
            figure.scatter([point.x], [y], marker=point.sign, color=(240, 228, 66) if dark else (122, 92, 0))
    if drawing.cursor is not None:
        figure.vline(drawing.cursor, color=(150, 150, 150))
    return _text_of(figure.build(), height)


def _limits(figure: Any, drawing: Drawing, low: float, high: float) -> tuple[float, float]:
    """What the y axis shows; a constant gets room around it."""
    if high - low <= 1e-6 * max(1.0, abs(high)):
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    elif drawing.upper is not None:
        high = max(high, min(drawing.upper, high + (high - low) * 0.1))
    figure.ylim(low, high)
    return low, high


def _x_axis(figure: Any, drawing: Drawing, drawn_xs: list[float], width: int) -> None:
    """From the least position to the greatest, whatever their order; a single one gets room around it.

    plotext draws a line to a position beyond its axis point by point: that must not happen.
    """
    xs = drawn_xs + [point.x for point in drawing.points] + ([] if drawing.cursor is None else [drawing.cursor])
    low, high = min(xs), max(xs)
    if high - low <= 1e-9 * max(1.0, abs(high)):
        room = max(1.0, 1e-9 * abs(high))
        low, high = (low - room if low < 0 or low >= room else 0.0), high + room  # nothing is before the start
    figure.xlim(low, high)
    figure.xticks(*round_ticks(low, high, max(2, width // 12), whole=drawing.x_title in ("step", "epoch")))


def round_ticks(low: float, high: float, most: int, *, whole: bool = False) -> tuple[list[float], list[str]]:
    """Multiples of 1, 2 or 5 times a power of ten between two bounds, and their labels; whole numbers if they must be.

    At most so many, unless only one would be left: one is no scale.
    """
    power = 10.0 ** max(0 if whole else -math.inf, math.floor(math.log10((high - low) / most)))
    found: list[float] = []
    step = power
    for factor in (1, 2, 5, 10, 20):
        numbers = range(math.ceil(low / (factor * power) - 1e-9), math.floor(high / (factor * power) + 1e-9) + 1)
        if found and len(numbers) < 2:
            break
        step = factor * power
        found = [number * step for number in numbers]
        if len(found) <= most:
            break
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    plain = whole or (digits <= 8 and 1e-4 <= max(map(abs, found)) < 1e6)
    return found, [f"{tick:.{digits}f}" if plain else f"{tick:.4g}" for tick in found]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Logarithms of round numbers between two, 1, 2 and 5 times powers of ten where there are few; else the ends."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [tick for power in powers for digit in digits if low <= (tick := power + math.log10(digit)) <= high]
        if 2 <= len(found) <= most:
            return found
    if len(found) > most:
        return found[:: -(-len(found) // most)]
    return [low, high]


def _draw_series(figure: Any, one: Series, part: Bucketed, *, dark: bool, marker: str, log: bool) -> None:
    colour = series_colour(one.colour, dark=dark)
    if one.faint:
        colour = tuple((3 * c + 2 * (16 if dark else 255)) // 5 for c in colour)  # type: ignore[assignment]
    if len(part.ys) == 1:
        figure.scatter(part.xs, part.ys, marker="●" if marker != "ascii" else "o", color=colour)
        return
    dots = "o" if marker == "ascii" else DOT
    line = dots if one.dotted else MARKERS.get(marker, "braille")
    figure.plot(part.xs, part.ys, marker=line, color=colour)
    for x, y in _lone(one, part, log=log):
        figure.scatter([x], [y], marker="●" if marker != "ascii" else "o", color=colour)


def _lone(one: Series, part: Bucketed, *, log: bool) -> list[tuple[float, float]]:
    """Points between two that cannot be drawn: a line would pass over them."""
    if not part.strange:
        return []
    strange = set(part.strange)
    inner = zip(one.xs, one.xs[1:], one.xs[2:], one.ys[1:], strict=False)
    return [(x, y) for before, x, after, y in inner if before in strange and after in strange and x not in strange][
        :200
    ]


def _text_of(ansi: str, height: int) -> Text:
    return Text.from_ansi(ansi.rstrip("\n"), no_wrap=True, end="")


def _rich_colour(colour: int, dark: bool) -> str:
    return "bold rgb({},{},{})".format(*series_colour(colour, dark=dark))


class Plot(Rows):
    """A drawing as large as its place."""

    def __init__(self, id: str) -> None:
        super().__init__(id, can_focus=True)
        self.drawing = Drawing()
        self._drawn_as: tuple[int, int, bool] | None = None  # columns, rows, dark

    def show(self, drawing: Drawing) -> None:
        if drawing != self.drawing:
            self.drawing, self._drawn_as = drawing, None
            if self.content_size:
                self.update(self._drawn())
            else:
                self.refresh()

    def render(self) -> Text:
        if self._drawn_as != self._place:
            self.keep(self._drawn())
        return super().render()

    @property
    def _place(self) -> tuple[int, int, bool]:
        return (*self.content_size, self.app.current_theme.dark)

    def _drawn(self) -> Text:
        self._drawn_as = width, height, dark = self._place
        return drawn(self.drawing, width, height, dark=dark, marker=marks())
