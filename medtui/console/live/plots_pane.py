"""The plots of Live that are in sight: of the run that is shown, and over it those that are marked in Results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.message import Message

from medtui.client.view import RunView
from medtui.console.live.plots import NAMES, ZOOM, Shown, plot_of, title_of
from medtui.console.shell.app_context import context_of, key_of
from medtui.console.shell.marked_runs import MarkedRuns, RunMark
from medtui.console.shell.plain import border_title
from medtui.console.shell.readings import Readings
from medtui.console.widgets.curves import Axis
from medtui.console.widgets.overlay import comparable, overlaid, read_marked
from medtui.console.widgets.plot import Plot

AXES: tuple[Axis, ...] = ("step", "epoch", "time")


class PlotsPane(Container):
    class OthersRead(Message):
        """The runs that are marked in Results were read."""

        def __init__(self, views: dict[str, RunView]) -> None:
            super().__init__()
            self.views = views

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.shown = Shown()
        self.first = 0  # of NAMES: where not all fit, this one and those after it
        self.in_sight: tuple[str, ...] = ()
        self.drawn_at = 0.0
        self._drawn_key: Any = None
        self._draws = False  # soon
        self._view: RunView | None = None
        self._others: dict[str, RunView] = {}  # runs that are marked in Results, drawn over this one
        self._others_of: Any = None  # what they were read for
        self._readings = Readings(self)

    def compose(self) -> ComposeResult:
        for name in NAMES:
            with Vertical(id=f"pane-{name}", classes="pane plot"):
                yield Plot(id=name)

    # ---- what is remembered ----------------------------------------------------------------------------------------

    def recall(self) -> None:
        """What keys chose in an earlier console."""
        kept = context_of(self).preferences
        axis = kept.get("live_axis")
        self.shown = Shown(
            axis=axis if axis in AXES else "step",
            log=kept.get("live_log_scale") is True,
            smooth=kept.get("live_smoothing") is not False,
            overlay=kept.get("live_overlay") is not False,
        )
        first = kept.get("live_plots")
        self.first = NAMES.index(first) if first in NAMES else 0

    def _remember(self) -> None:
        context_of(self).preferences.keep(
            live_axis=self.shown.axis,
            live_log_scale=self.shown.log,
            live_smoothing=self.shown.smooth,
            live_overlay=self.shown.overlay,
            live_plots=NAMES[self.first],
        )

    # ---- drawing ---------------------------------------------------------------------------------------------------

    def show_grid(self, across: int, down: int) -> None:
        """As many plots as this."""
        count = min(len(NAMES), across * down)
        rotated = (*NAMES[self.first :], *NAMES[: self.first])
        in_sight = tuple(name for name in NAMES if name in rotated[:count])
        if in_sight == self.in_sight:
            return
        self.in_sight, self._drawn_key = in_sight, None
        self.styles.grid_size_columns, self.styles.grid_size_rows = across, down
        for name in NAMES:
            self.query_one(f"#pane-{name}").display = name in in_sight

    def draw_anew(self) -> None:
        """The next drawing is one, whatever was drawn before."""
        self._drawn_key = None

    def draw(self, view: RunView) -> None:
        """Nothing happens where that is what the plots show."""
        self._view = view
        marked = context_of(self).marked_runs
        if (marked, view.run) != self._others_of:
            self._others_of = (marked, view.run)
            self._read_others(marked, view.run)
        key = (view.state.epochs, view.points, self.shown, self.in_sight, id(self._others))
        if key == self._drawn_key:
            return
        self._drawn_key, self.drawn_at = key, time.monotonic()
        if not self._draws:
            self._draws = True
            self.call_later(self._draw_all)

    async def _draw_all(self) -> None:
        """One plot per turn of the event loop: all of a large terminal at once would keep a key waiting."""
        self._draws = False  # what changes from here on is drawn by another
        view, marked = self._view, context_of(self).marked_runs
        if view is None:
            return
        marks = [mark for mark in marked.marks if self.shown.overlay and mark.run in self._others]
        marks, left_out = comparable(view, marks, self._others)
        for name in self.in_sight:
            self._draw_one(name, view, marks, left_out)
            await asyncio.sleep(0)

    def _draw_one(self, name: str, view: RunView, marks: list[RunMark], left_out: str) -> None:
        title = title_of(name, view)
        if left_out and name == self.in_sight[0]:
            title += f" · not drawn: {left_out}"
        border_title(self.query_one(f"#pane-{name}"), title)
        others = [
            (mark, plot_of(name, self._others[mark.run], self.shown)) for mark in marks if mark.run in self._others
        ]
        self.query_one(f"#{name}", Plot).show(overlaid(plot_of(name, view, self.shown), others))

    def _read_others(self, marked: MarkedRuns, shown: str | None) -> None:
        """In a thread, as their journals may be long."""
        outputs, known = context_of(self).workspace.outputs, self._others
        self._readings.start("others", lambda: self.OthersRead(read_marked(outputs, marked, known, shown)))

    def on_plots_pane_others_read(self, message: OthersRead) -> None:
        self._others = message.views
        self._draw_again()

    def _draw_again(self) -> None:
        if self._view is not None:
            self.draw(self._view)

    # ---- keys and mouse --------------------------------------------------------------------------------------------

    def change(self, shown: Shown, *, kept: bool = False) -> None:
        """`kept`: the next console remembers it."""
        if shown != self.shown:
            self.shown = shown
            self._draw_again()
        if kept:
            self._remember()

    def next_axis(self) -> None:
        axis = AXES[(AXES.index(self.shown.axis) + 1) % len(AXES)]
        self.change(replace(self.shown, axis=axis), kept=True)

    def toggle_overlay(self) -> None:
        if not len(context_of(self).marked_runs):
            context_of(self).show_toast(f"No run is marked; {key_of(self, 'results.mark')} in Results marks one.")
        self.change(replace(self.shown, overlay=not self.shown.overlay), kept=True)

    def next_plots(self, arrange: Callable[[], None]) -> None:
        """Those after the ones in sight, where not all have room; `arrange` lays them out."""
        if len(self.in_sight) == len(NAMES):
            context_of(self).show_toast("All plots are shown.")
            return
        self.first = (self.first + len(self.in_sight)) % len(NAMES)
        arrange()
        self._remember()
        self.call_after_refresh(self._draw_again)

    def toggle_cursor(self) -> None:
        epochs = self._epochs
        self.change(replace(self.shown, cursor=None if self.shown.cursor is not None or not epochs else epochs - 1))

    def move(self, by: int) -> None:
        """The cursor; without one, the part that is zoomed into."""
        if self.shown.cursor is not None and self._epochs:
            self.change(replace(self.shown, cursor=max(0, min(self._epochs - 1, self.shown.cursor + by))))
        else:
            self.change(self.shown.pan(0.2 * by))

    @property
    def _epochs(self) -> int:
        return len(self._view.state.epochs) if self._view is not None else 0

    @on(Plot.Zoomed)
    def _zoomed(self, event: Plot.Zoomed) -> None:
        self.change(self.shown.zoom(ZOOM if event.closer else 1 / ZOOM, event.at))

    @on(Plot.Dragged)
    def _dragged(self, event: Plot.Dragged) -> None:
        self.change(self.shown.pan(-event.by))
