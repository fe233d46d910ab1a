"""Curves. The only module that knows plotext.

plotext raises on infinities and on logarithms of what is not positive, and takes its time over many points; so every
series is cleaned and bucketed to two points per column before it is plotted. Non-finite values are marked, not hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text
from textual.events import MouseDown, MouseMove, MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual_plotext.plot import Plot as Figure

from medtui.console.shell.capability import marks
from medtui.console.shell.theme import series_colour
from medtui.console.widgets.rows import Rows
from medtui.console.widgets.scales import log_ticks, robust_limits, round_ticks
from medtui.text import number

FRAME = 9  # columns of axis and labels, about
MINIMUM = (16, 5)  # columns, rows; below it only a sentence is shown
HUGE = 1e100  # larger values, or smaller than 1 / HUGE on a log scale, overflow in plotext
MARK = "◆"
ABOVE, BELOW = "▲", "▼"  # where a value is beyond the scale
MARKS = 16  # on a marked curve, at most about twice as many
MARKERS = {"braille": "braille", "block": "hd", "ascii": "*"}


@dataclass(frozen=True)
class Series:
    """One curve. Values may be NaN or infinite."""

    name: str  # in the legend; without one it is not there, as the edge of a band
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int  # of the series palette
    faint: bool = False
    marked: bool = False  # each value with a mark, which tells it from another curve: colour is never the only sign
    sign: str = ""  # shown near the curve's end: colour is never the only sign


@dataclass(frozen=True)
class Point:
    """A marked point, such as the best epoch."""

    x: float
    y: float
    sign: str
    words: str


@dataclass(frozen=True)
class Level:
    """A horizontal line, such as a published value."""

    y: float
    words: str
    short: str = ""  # the same, where there is no room for all words


@dataclass(frozen=True)
class PlotSpec:
    """Everything that a plot shows. Equal specs are plotted once."""

    series: tuple[Series, ...] = ()
    points: tuple[Point, ...] = ()
    levels: tuple[Level, ...] = ()
    x_title: str = ""
    unit: str = ""  # of the y axis
    written: Callable[[float], str] = number  # a value at the cursor
    log: bool = False
    cursor: float | None = None  # a position on the x axis
    empty: str = "no values yet"
    upper: float | None = None  # of the y axis
    robust: bool = False  # a few outliers do not decide the scale; they are marked at its edge
    window: tuple[float, float] | None = None  # the part of the x axis that is shown; None: all of it


@dataclass(frozen=True)
class Bucketed:
    """The part of a series that is plotted."""

    xs: list[float]
    ys: list[float]
    nonfinite: list[float]  # x of values that are non-finite, or not positive on a log scale


def bucketed(xs: Sequence[float], ys: Sequence[float], columns: int, *, log: bool = False) -> Bucketed:
    """Lowest and highest of each column, in their order; a lone point survives. O(n) with n at C speed.

    On a log scale only positive values can be plotted; zeros and below count as non-finite.
    """
    n = min(len(xs), len(ys))
    xs, ys = xs[:n], ys[:n]
    lowest = 1 / HUGE if log else -HUGE

    def plottable(y: float) -> bool:
        return lowest < y < HUGE  # NaN is not

    if all(map(plottable, ys)):
        nonfinite: list[float] = []
    else:
        nonfinite = [x for x, y in zip(xs, ys, strict=True) if not plottable(y)]
        kept = [(x, y) for x, y in zip(xs, ys, strict=True) if plottable(y)]
        xs, ys = [x for x, _ in kept], [y for _, y in kept]
    if len(ys) <= 2 * columns:
        return Bucketed(list(xs), list(ys), nonfinite)
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
    return Bucketed(out_x, out_y, nonfinite)


def smoothed(ys: Sequence[float], weight: float = 0.8) -> list[float]:
    """Exponential moving average with bias correction; non-finite values pass through and are ignored."""
    found = []
    mean = weight_sum = 0.0
    for y in ys:
        if math.isfinite(y):
            mean = weight * mean + (1 - weight) * y
            weight_sum = weight * weight_sum + (1 - weight)
            found.append(mean / weight_sum)
        else:
            found.append(y)
    return found


def plot_text(spec: PlotSpec, width: int, height: int, *, dark: bool, marker: str = "braille") -> Text:
    """The plot as text of exactly this size."""
    if width < MINIMUM[0] or height < MINIMUM[1]:
        return Text("too small for a plot", style="dim")
    columns = max(4, width - FRAME)
    parts = [(one, bucketed(*_within(one, spec.window), columns, log=spec.log)) for one in spec.series]
    parts = [(one, part) for one, part in parts if part.ys or part.nonfinite]
    if not any(part.ys for _, part in parts):
        nonfinite = any(part.nonfinite for _, part in parts)
        return Text(
            "every value is NaN or infinite" if nonfinite else spec.empty, style="bold red" if nonfinite else "dim"
        )
    legend = _legend(spec, parts, dark)
    if legend.cell_len > width:
        legend = _legend(spec, parts, dark, short=True)
    body = _figure(spec, parts, width, height - 1, dark=dark, marker=marker)
    legend.truncate(width, overflow="ellipsis")
    return Text("\n").join([legend, body])


def _within(one: Series, window: tuple[float, float] | None) -> tuple[Sequence[float], Sequence[float]]:
    """The values in the window of the x axis."""
    if window is None or not one.xs:
        return one.xs, one.ys
    low, high = window
    inside = [at for at, x in enumerate(one.xs) if low <= x <= high]
    if not inside:
        return (), ()
    first, last = inside[0], inside[-1] + 1
    return one.xs[first:last], one.ys[first:last]


def _legend(spec: PlotSpec, parts: list[tuple[Series, Bucketed]], dark: bool, *, short: bool = False) -> Text:
    line = Text(no_wrap=True)
    if spec.cursor is not None:  # first: the values stay visible, however narrow the plot is
        line.append(format_cursor(spec), "reverse")
        line.append("  ")
    if spec.window is not None:
        line.append("zoomed  ", "bold")
    for one, part in parts:
        if not one.name:
            continue
        line.append(("┄ " if one.faint else f"{MARK} " if one.marked else "─ "), _rich_colour(one.colour, dark))
        line.append(one.name)
        if part.nonfinite:
            line.append(
                f" ✗{len(part.nonfinite)} non-finite" if not spec.log else f" ✗{len(part.nonfinite)} not shown",
                "bold red",
            )
        line.append("  ")
    for point in spec.points:
        line.append(f"{point.sign} {point.words}  ", "bold")
    for level in spec.levels:
        line.append(f"┈ {(short and level.short) or level.words}  ", "dim")
    words = [spec.unit, f"by {spec.x_title}" if spec.x_title else "", "log" if spec.log else ""]
    line.append(", ".join(filter(None, words)), "dim")
    return line


def format_cursor(spec: PlotSpec) -> str:
    """The values at the cursor, of the curves that have one there."""
    assert spec.cursor is not None
    there = [(one, _at_cursor(one, spec.cursor)) for one in spec.series if not one.faint]
    words = [f"{one.name} {spec.written(one.ys[at])}" for one, at in there if at is not None]
    return " ".join([f"{spec.x_title} {spec.cursor:g}:", *words])


def _at_cursor(one: Series, cursor: float) -> int | None:
    """The nearest value, if no farther than half the way to the next: a shorter run has none where it was over."""
    n = min(len(one.xs), len(one.ys))
    if not n:
        return None
    at = min(range(n), key=lambda i: abs(one.xs[i] - cursor))
    steps = [abs(one.xs[i] - one.xs[at]) for i in (at - 1, at + 1) if 0 <= i < n]
    return at if abs(one.xs[at] - cursor) <= max(steps, default=0.0) / 2 else None


def _figure(
    spec: PlotSpec, parts: list[tuple[Series, Bucketed]], width: int, height: int, *, dark: bool, marker: str
) -> Text:
    figure: Any = Figure()
    figure._limit_size(False, False)  # as plotext.limit_size: else $COLUMNS, or no terminal, would narrow it
    figure.plotsize(width, height)
    background = (16, 20, 24) if dark else (255, 255, 255)
    figure.canvas_color(background)
    figure.axes_color(background)
    figure.ticks_color((140, 150, 160) if dark else (90, 96, 104))
    if spec.log:  # plotted as logarithms with our labels: plotext's log scale overflows
        parts = [(one, Bucketed(part.xs, [math.log10(y) for y in part.ys], part.nonfinite)) for one, part in parts]
    levels = [math.log10(level.y) if spec.log else level.y for level in spec.levels if not spec.log or level.y > 0]
    low, high = _limits(figure, spec, parts, levels)
    parts, clipped = _clipped(parts, low, high)
    _x_axis(figure, spec, [x for _, part in parts for x in (*part.xs, *part.nonfinite)], width)
    if spec.log:
        ticks = log_ticks(low, high, max(2, min(6, height // 3)))
        figure.yticks(ticks, [f"{10**tick:.3g}" for tick in ticks])
    else:
        ticks, labels = round_ticks(low, high, max(2, min(6, height // 3)))
        rows = [round((tick - low) / (high - low) * (height - 4)) for tick in ticks]  # two in one row hide each other
        seen = [number_ for number_, row in enumerate(rows) if row not in rows[:number_]]
        figure.yticks([ticks[n] for n in seen], [labels[n] for n in seen])
    for one, part in parts:
        if part.ys:
            _plot_series(figure, one, part, dark=dark, marker=marker, log=spec.log)
        if part.nonfinite:  # at the top edge, where a curve that left the scale would be
            spots = (
                part.nonfinite if len(part.nonfinite) <= width else part.nonfinite[:: len(part.nonfinite) // width + 1]
            )
            figure.scatter(list(spots), [high] * len(spots), marker="x", color=(255, 90, 80))
    for colour_number, x, y in clipped:
        edge, mark = (high, ABOVE) if y > high else (low, BELOW)
        figure.scatter([x], [edge], marker=mark, color=series_colour(colour_number, dark=dark))
    for level_y in levels:
        figure.hline(level_y, color=(120, 126, 134))
    for number_, (one, part) in enumerate(parts):
        if one.sign and part.ys:  # one before the other: curves may end together
            at = max(0, len(part.xs) - 1 - number_ * max(1, len(part.xs) // 10))
            colour = series_colour(one.colour, dark=dark)
            figure.scatter([part.xs[at]], [part.ys[at]], marker=one.sign, color=colour)
    for point in spec.points:
        y = point.y if not spec.log else math.log10(point.y) if point.y > 0 else math.nan
        inside = spec.window is None or spec.window[0] <= point.x <= spec.window[1]
        if inside and low <= y <= high:
            figure.scatter([point.x], [y], marker=point.sign, color=(240, 228, 66) if dark else (122, 92, 0))
    if spec.cursor is not None:
        figure.vline(spec.cursor, color=(150, 150, 150))
    return _text_of(figure.build(), height)


def _limits(
    figure: Any, spec: PlotSpec, parts: list[tuple[Series, Bucketed]], levels: list[float]
) -> tuple[float, float]:
    """The limits of the y axis; a constant gets a margin."""
    each = [robust_limits(part.ys) if spec.robust else (min(part.ys), max(part.ys)) for _, part in parts if part.ys]
    low, high = min([one for one, _ in each] + levels), max([one for _, one in each] + levels)
    if high - low <= 1e-6 * max(1.0, abs(high)):
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    elif spec.upper is not None:
        high = max(high, min(spec.upper, high + (high - low) * 0.1))
    figure.ylim(low, high)
    return low, high


def _clipped(
    parts: list[tuple[Series, Bucketed]], low: float, high: float
) -> tuple[list[tuple[Series, Bucketed]], list[tuple[int, float, float]]]:
    """The curves held within the limits, and (colour, x, y) of each value that is not."""
    found, beyond = [], []
    for one, part in parts:
        ys = [min(max(y, low), high) for y in part.ys]
        beyond += [(one.colour, x, y) for x, y in zip(part.xs, part.ys, strict=True) if not low <= y <= high]
        found.append((one, Bucketed(part.xs, ys, part.nonfinite)))
    return found, beyond


def _x_axis(figure: Any, spec: PlotSpec, plotted_xs: list[float], width: int) -> None:
    """From the least position to the greatest, whatever their order; a single one gets a margin.

    plotext draws a line to a position beyond its axis point by point: that must not happen.
    """
    xs = plotted_xs + [point.x for point in spec.points] + ([] if spec.cursor is None else [spec.cursor])
    low, high = spec.window or (min(xs), max(xs))
    if high - low <= 1e-9 * max(1.0, abs(high)):
        margin = max(1.0, 1e-9 * abs(high))
        low, high = (low - margin if low < 0 or low >= margin else 0.0), high + margin  # nothing is before the start
    figure.xlim(low, high)
    figure.xticks(*round_ticks(low, high, max(2, width // 12), integers=spec.x_title in ("step", "epoch")))


def _plot_series(figure: Any, one: Series, part: Bucketed, *, dark: bool, marker: str, log: bool) -> None:
    colour = series_colour(one.colour, dark=dark)
    if one.faint:
        colour = tuple((3 * c + 2 * (16 if dark else 255)) // 5 for c in colour)  # type: ignore[assignment]
    if len(part.ys) == 1:
        figure.scatter(part.xs, part.ys, marker="●" if marker != "ascii" else "o", color=colour)
        return
    figure.plot(part.xs, part.ys, marker=MARKERS.get(marker, "braille"), color=colour)
    if one.marked:
        every = 1 + len(part.xs) // MARKS
        sign = "o" if marker == "ascii" else MARK
        figure.scatter(part.xs[::-every], part.ys[::-every], marker=sign, color=colour)
    for x, y in _lone(one, part, log=log):
        figure.scatter([x], [y], marker="●" if marker != "ascii" else "o", color=colour)


def _lone(one: Series, part: Bucketed, *, log: bool) -> list[tuple[float, float]]:
    """Points between two that cannot be plotted: a line would skip them."""
    if not part.nonfinite:
        return []
    nonfinite = set(part.nonfinite)
    inner = zip(one.xs, one.xs[1:], one.xs[2:], one.ys[1:], strict=False)
    return [
        (x, y) for before, x, after, y in inner if before in nonfinite and after in nonfinite and x not in nonfinite
    ][:200]


def _text_of(ansi: str, height: int) -> Text:
    return Text.from_ansi(ansi.rstrip("\n"), no_wrap=True, end="")


def _rich_colour(colour: int, dark: bool) -> str:
    return "bold rgb({},{},{})".format(*series_colour(colour, dark=dark))


class Plot(Rows):
    """A plot that fills its area. The wheel asks to zoom, dragging to move; who shows it decides."""

    class Zoomed(Message):
        def __init__(self, *, closer: bool, at: float) -> None:
            """`at`: where, as a fraction of the axis that is shown."""
            super().__init__()
            self.closer, self.at = closer, at

    class Dragged(Message):
        def __init__(self, by: float) -> None:
            """`by`: fraction of the axis that is shown; to the right is positive."""
            super().__init__()
            self.by = by

    def __init__(self, id: str) -> None:
        super().__init__(id, can_focus=True)
        self.spec = PlotSpec()
        self._plotted_for: tuple[int, int, bool] | None = None  # columns, rows, dark
        self._dragged_from: int | None = None  # column

    def show(self, spec: PlotSpec) -> None:
        if spec != self.spec:
            self.spec, self._plotted_for = spec, None
            if self.content_size:
                self.update(self._plot_text())
            else:
                self.refresh()

    def render(self) -> Text:
        if self._plotted_for != self._geometry:
            self.keep(self._plot_text())
        return super().render()

    @property
    def _geometry(self) -> tuple[int, int, bool]:
        return (*self.content_size, self.app.current_theme.dark)

    def _plot_text(self) -> Text:
        self._plotted_for = width, height, dark = self._geometry
        return plot_text(self.spec, width, height, dark=dark, marker=marks())

    @property
    def _axis_columns(self) -> int:
        return max(1, self.content_size.width - FRAME)

    def _at(self, x: int) -> float:
        return max(0.0, min(1.0, (x - FRAME + 2) / self._axis_columns))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.post_message(self.Zoomed(closer=True, at=self._at(event.x)))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.post_message(self.Zoomed(closer=False, at=self._at(event.x)))

    def on_mouse_down(self, event: MouseDown) -> None:
        self._dragged_from = event.x
        self.capture_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        if self._dragged_from is not None and event.x != self._dragged_from:
            self.post_message(self.Dragged((event.x - self._dragged_from) / self._axis_columns))
            self._dragged_from = event.x

    def on_mouse_up(self) -> None:
        self._dragged_from = None
        self.release_mouse()
