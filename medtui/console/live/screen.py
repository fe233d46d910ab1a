"""Live: numbers, curves, per-class results, progress and log of the run that is shown."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from medtui.client.view import RunView
from medtui.console.live.machine import machine_text
from medtui.console.live.numbers import numbers_text
from medtui.console.live.plots import NAMES, ZOOM, Shown, plot_of, room_for, rows_of, title_of
from medtui.console.live.text import log_text, progress_text
from medtui.console.shell.app_context import key_of
from medtui.console.shell.base import BaseScreen, SeeThrough
from medtui.console.shell.keymap import bindings
from medtui.console.shell.marked_runs import MarkedRuns
from medtui.console.shell.plain import Static, border_subtitle, border_title
from medtui.console.widgets.classes import class_rows, classes_text
from medtui.console.widgets.curves import Axis
from medtui.console.widgets.matrix import confusion_text, latest_confusion, width_of
from medtui.console.widgets.overlay import overlaid, read_marked
from medtui.console.widgets.plot import Plot
from medtui.console.widgets.rows import Rows
from medtui.preferences import read_preferences, remember

PLOT_EVERY = 3.0  # seconds, at most, between plots of the running epoch
LIVELY = 0.4  # seconds between progress lines
REFRESH_EVERY = 0.5  # seconds, at least, between complete updates while epochs are short
AXES: tuple[Axis, ...] = ("step", "epoch", "time")
MOST_NUMBERS = 3  # rows
CONFUSION_TITLE = "confusion, validation"
REST_OF_DETAIL = 84  # columns of the classes and the machine


class OthersRead(Message):
    """The runs that are marked in Results were read."""

    def __init__(self, views: dict[str, RunView]) -> None:
        super().__init__()
        self.views = views


class Live(BaseScreen):
    SCREEN_NAME = "live"
    PANES = (
        ("pane-plots", "plots"),
        ("pane-classes", "per class, worst recall first"),
        ("pane-confusion", "confusion"),
        ("pane-machine", "machine"),
        ("pane-log", "log"),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("live")

    def __init__(self) -> None:
        super().__init__()
        self.shown = Shown()
        self.first_plot = 0  # of NAMES: where not all fit, this one and those after it
        self._plots: tuple[str, ...] = ()  # that are in sight
        self._plotted_at = 0.0
        self._plotted_key: Any = None
        self._refreshed_at = 0.0
        self._behind = False  # something newer than what is shown
        self._log_key: Any = None
        self._number_rows, self._progress_rows = 1, 3  # that their texts take
        self._others: dict[str, RunView] = {}  # runs that are marked in Results, drawn over this one
        self._others_of: Any = None  # what they were read for

    def compose_body(self) -> ComposeResult:
        run, attach = key_of(self, "live.run"), key_of(self, "run.attach")
        words = f"Nothing is training.\n\n{run} runs the selected recipe; {attach} attaches to a run."
        yield Static(words, id="live-empty")
        yield Rows("numbers")
        with Container(id="pane-plots"):
            for name in NAMES:
                with Vertical(id=f"pane-{name}", classes="pane plot"):
                    yield Plot(id=name)
        with Container(id="live-detail"):
            with VerticalScroll(id="pane-classes", classes="pane"):
                yield Static(id="classes")
            with VerticalScroll(id="pane-confusion", classes="pane"):
                yield Static(id="confusion")
            with Vertical(id="pane-machine", classes="pane"):
                yield Rows("machine")
        with Container(id="live-end"):
            with Vertical(id="pane-progress", classes="pane"):
                yield Rows("progress")
            with Vertical(id="pane-log", classes="pane"):
                yield Input(placeholder="filter the log", id="log-filter", compact=True)
                yield Rows("log")

    def set_up(self) -> None:
        border_title(self.query_one("#pane-progress"), "progress")
        self._recall()
        self._arrange()
        self.set_interval(LIVELY, self._pulse)
        before, self.view = self.view, None
        self.show(before)

    def show_only(self, number: int) -> None:
        super().show_only(number)
        if self.ready:
            self.call_after_refresh(self._refresh_all)  # what was hidden has a size now

    # ---- what is remembered ----------------------------------------------------------------------------------------

    def _recall(self) -> None:
        """What keys chose in an earlier console."""
        kept = read_preferences()
        axis = kept.get("live_axis")
        self.shown = Shown(
            axis=axis if axis in AXES else "step",
            log=kept.get("live_log_scale") is True,
            smooth=kept.get("live_smoothing") is not False,
        )
        first = kept.get("live_plots")
        self.first_plot = NAMES.index(first) if first in NAMES else 0

    def _remember(self) -> None:
        remember(
            live_axis=self.shown.axis,
            live_log_scale=self.shown.log,
            live_smoothing=self.shown.smooth,
            live_plots=NAMES[self.first_plot],
        )

    # ---- the arrangement -------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """As many plots as there is room for, and the numbers in as many rows as they take."""
        width, height = self.size
        classes = len(class_rows(self.view)[1]) if self.view is not None else 0
        detail, end = rows_of(height, classes, self._progress_rows, stacked=width < 120)
        self.query_one("#numbers").styles.height = self._number_rows
        narrow = width < 80
        for id_, rows in (("live-detail", detail), ("live-end", end)):
            self.query_one(f"#{id_}").styles.height = None if narrow else rows
        self.set_class(width >= 160, "-roomy")
        across, down = room_for(width, height - 2 - self._number_rows - detail - end)
        count = min(len(NAMES), across * down)
        rotated = (*NAMES[self.first_plot :], *NAMES[: self.first_plot])
        shown = tuple(name for name in NAMES if name in rotated[:count])
        if shown == self._plots:
            return
        self._plots, self._plotted_key = shown, None
        plots = self.query_one("#pane-plots")
        plots.styles.grid_size_columns, plots.styles.grid_size_rows = across, down
        for name in NAMES:
            self.query_one(f"#pane-{name}").display = name in shown

    def _mark_pane(self) -> None:
        super()._mark_pane()
        current = self.PANES[self.current_pane][0]
        detail = ("pane-classes", "pane-confusion", "pane-machine")
        self.query_one("#live-detail").set_class(current not in detail, "-behind")
        self.set_class(current == "pane-log", "-log")

    # ---- updates ---------------------------------------------------------------------------------------------------

    def show(self, view: RunView | None) -> None:
        """Epochs, phases and messages at once; snapshots wait for the pulse."""
        before, self.view = self.view, view
        if not self.alive:
            return
        self.set_class(view is None or not view.asked_to_start, "-empty")
        if view is None:
            return
        if before is not None and before.run is not None and view.run != before.run:
            self._show_all()  # another run: the enlarged pane was of the previous one
        if before is None or view.state is not before.state or view.outcome != before.outcome:
            if view.outcome is not None and (before is None or before.outcome is None):
                self._show_all()
            flying = before is not None and before.phase == view.phase == "training" and view.outcome is None
            if flying and time.monotonic() - self._refreshed_at < REFRESH_EVERY:
                self._behind = True  # epochs of a fraction of a second: the pulse draws the newest
            else:
                self._refresh_all()
        elif view.requests != before.requests:
            self._show_log()

    def reports(self, view: RunView) -> bool:
        """The progress pane does, which is in sight at every size."""
        seen = self.is_current or isinstance(self.app.screen, SeeThrough)
        if not (seen and self.alive and self.query_one("#body").display):
            return False
        return view.outcome is not None or self.query_one("#pane-progress").display

    def _pulse(self) -> None:
        if not (self.alive and self.is_current):
            return
        if self._behind and time.monotonic() - self._refreshed_at >= REFRESH_EVERY:
            self._refresh_all()
        elif self.view is not None and self.view.active:
            self._show_numbers()
            self._show_progress()
            self._show_machine()
            if time.monotonic() - self._plotted_at >= PLOT_EVERY:
                self._show_plots()

    def _refresh_all(self) -> None:
        if not self.alive:
            return
        self._behind, self._refreshed_at = False, time.monotonic()
        self._show_numbers()
        self._arrange()
        self._show_plots()
        self._show_classes()
        self._show_confusion()
        self._show_machine()
        self._show_progress()
        self._show_log()

    def on_screen_resume(self) -> None:
        self._log_key = None
        self._plotted_key = None
        if self.view is not None and self.ready:
            self._refresh_all()

    def on_resize(self) -> None:
        if self.ready:
            self.call_after_refresh(self._refresh_all)

    def _show_numbers(self) -> None:
        if self.view is None:
            return
        text = numbers_text(self.view, self.size.width, MOST_NUMBERS)
        self.query_one("#numbers", Rows).update(text)
        rows = text.plain.count("\n") + 1
        if rows != self._number_rows:
            self._number_rows = rows
            self._arrange()

    def _show_plots(self) -> None:
        view = self.view
        if view is None:
            return
        marked = self._app.marked_runs
        if (marked, view.run) != self._others_of:
            self._others_of = (marked, view.run)
            self._read_others(marked, view.run)
        key = (view.state.epochs, view.points, self.shown, self._plots, id(self._others))
        if key == self._plotted_key:
            return
        self._plotted_key, self._plotted_at = key, time.monotonic()
        marks = [mark for mark in marked.marks if mark.run in self._others]
        for name in self._plots:
            border_title(self.query_one(f"#pane-{name}"), title_of(name, view))
            others = [(mark, plot_of(name, self._others[mark.run], self.shown)) for mark in marks]
            self.query_one(f"#{name}", Plot).show(overlaid(plot_of(name, view, self.shown), others))

    @work(thread=True, exclusive=True, exit_on_error=False, group="others")
    def _read_others(self, marked: MarkedRuns, shown: str | None) -> None:
        """In a worker: their journals may be long."""
        self.post_message(OthersRead(read_marked(self._app.workspace.outputs, marked, self._others, shown)))

    def on_others_read(self, message: OthersRead) -> None:
        self._others = message.views
        self._show_plots()

    def _show_classes(self) -> None:
        if self.view is None:
            return
        pane = self.query_one("#pane-classes")
        split, rows = class_rows(self.view)
        border_title(pane, f"per class, {split}, worst recall first")
        self.query_one("#classes", Static).update(classes_text(rows, (pane.size.width or self.size.width) - 2))

    def _show_confusion(self) -> None:
        """Of the newest epoch, where it fits; a larger one has its own key."""
        if self.view is None:
            return
        pane = self.query_one("#pane-confusion")
        found = latest_confusion(self.view)
        needed = 0 if found is None else max(width_of(found), len(CONFUSION_TITLE)) + 4
        self.set_class(not 0 < needed <= self.size.width - REST_OF_DETAIL, "-no-confusion")
        border_title(pane, CONFUSION_TITLE)
        narrow = self.size.width < 80
        pane.styles.width = None if narrow else needed
        self.query_one("#confusion", Static).update(
            confusion_text(found, self.size.width - 4 if narrow else needed - 3, legend=False)
        )

    def _show_machine(self) -> None:
        widget = self.query_one("#machine", Rows)
        samples = tuple(self._app.load_history.samples)
        widget.update(machine_text(samples, max(16, widget.size.width), max(3, widget.size.height)))

    def _show_progress(self) -> None:
        if self.view is None:
            return
        widget = self.query_one("#progress", Rows)
        width = max(20, widget.size.width or 40)
        has_machine = self.query_one("#pane-machine").region.width > 0
        text = progress_text(self.view, self._app.status.eta, width, self._app.actions, resources=not has_machine)
        widget.update(text)
        needed = text.plain.count("\n") + 1
        if needed != self._progress_rows:  # an end, or an alarm, has its words
            self._progress_rows = needed
            widget.styles.height = needed if self.size.width < 80 else None
            self._arrange()

    def _show_log(self) -> None:
        view = self.view
        if view is None:
            return
        widget = self.query_one("#log", Rows)
        query = self.query_one("#log-filter", Input).value
        height = max(3, widget.size.height or 5)
        key = (
            view.state.epochs,
            view.state.messages,
            view.state.answers,
            view.requests,
            view.died,
            view.noise,
            query,
            height,
            view.phases,
        )
        if key == self._log_key:
            return
        self._log_key = key
        widget.update(log_text(view, query, height))

    # ---- actions ---------------------------------------------------------------------------------------------------

    def action_run(self) -> None:
        self._app.run_chosen()

    def _change(self, shown: Shown, *, kept: bool = False) -> None:
        if shown != self.shown:
            self.shown = shown
            self._show_plots()
        if kept:
            self._remember()

    def action_log_scale(self) -> None:
        self._change(replace(self.shown, log=not self.shown.log), kept=True)

    def action_smoothing(self) -> None:
        self._change(replace(self.shown, smooth=not self.shown.smooth), kept=True)

    def action_axis(self) -> None:
        axis = AXES[(AXES.index(self.shown.axis) + 1) % len(AXES)]
        self._change(replace(self.shown, axis=axis), kept=True)

    def action_plots(self) -> None:
        """The next plots, where not all have room."""
        if len(self._plots) == len(NAMES):
            self._app.show_toast("All plots are shown.")
            return
        self.first_plot = (self.first_plot + len(self._plots)) % len(NAMES)
        self._arrange()
        self._remember()
        self.call_after_refresh(self._show_plots)

    def action_zoom(self, factor: float) -> None:
        self._change(self.shown.zoom(ZOOM**factor, at=1.0))

    def action_cursor(self) -> None:
        epochs = len(self.view.state.epochs) if self.view else 0
        self._change(replace(self.shown, cursor=None if self.shown.cursor is not None or not epochs else epochs - 1))

    def action_move(self, by: int) -> None:
        """The cursor; without one, the part that is zoomed into."""
        epochs = len(self.view.state.epochs) if self.view else 0
        if self.shown.cursor is not None and epochs:
            self._change(replace(self.shown, cursor=max(0, min(epochs - 1, self.shown.cursor + by))))
        else:
            self._change(self.shown.pan(0.2 * by))

    @on(Plot.Zoomed)
    def _zoomed(self, event: Plot.Zoomed) -> None:
        self._change(self.shown.zoom(ZOOM if event.closer else 1 / ZOOM, event.at))

    @on(Plot.Dragged)
    def _dragged(self, event: Plot.Dragged) -> None:
        self._change(self.shown.pan(-event.by))

    def action_enlarge(self) -> None:
        """Show one pane full screen: the focused one, else the losses; again for all panes."""
        if self.has_class("-one"):
            self._show_all()
            return
        pane = self.focused
        while pane is not None and "pane" not in pane.classes:
            pane = pane.parent  # type: ignore[assignment]
        self.add_class("-one")
        large = pane if isinstance(pane, Widget) else self.query_one(f"#pane-{self._plots[0]}")
        large.add_class("-large")
        if isinstance(large.parent, Widget) and large.parent.id != "body":
            large.parent.add_class("-large")
        border_subtitle(large, f"{key_of(self, 'view.back')}: all panes")

    def _show_all(self) -> None:
        self.remove_class("-one")
        for pane in self.query(".-large"):
            pane.remove_class("-large")
            if "pane" in pane.classes:
                border_subtitle(pane, "")

    def action_confusion(self) -> None:
        from medtui.console.live.confusion import ConfusionDialog

        run = self._app.handle.run_directory if self._app.handle is not None else None
        if run is None or not (run.metrics / "confusion.csv").is_regular:
            self._app.show_toast("The confusion matrix is of the test split; it is available after training.")
            return
        self.app.push_screen(ConfusionDialog(run))

    def action_filter(self) -> None:
        field = self.query_one("#log-filter", Input)
        field.add_class("-open")
        self.show_only([id_ for id_, _ in self.PANES].index("pane-log"))
        field.focus()

    @on(Rows.Resized, "#progress")
    def _progress_resized(self) -> None:
        self._show_progress()

    @on(Rows.Resized, "#log")
    def _log_resized(self) -> None:
        self._show_log()

    @on(Rows.Resized, "#machine")
    def _machine_resized(self) -> None:
        self._show_machine()

    @on(Input.Changed, "#log-filter")
    def _filtered(self) -> None:
        self._show_log()

    @on(Input.Submitted, "#log-filter")
    def _filter_done(self) -> None:
        self.set_focus(None)

    def action_scroll_rows(self, by: int) -> None:
        self.query_one("#pane-classes").scroll_relative(y=by, animate=False)

    def action_back(self) -> None:
        field = self.query_one("#log-filter", Input)
        if self.has_class("-one"):
            self._show_all()
        elif field.has_class("-open"):
            field.value = ""
            field.remove_class("-open")
            self.set_focus(None)
        elif self.shown.cursor is not None:
            self.action_cursor()
        elif self.shown.zoomed:
            self._change(replace(self.shown, window=(0.0, 1.0)))
        else:
            self.set_focus(None)
