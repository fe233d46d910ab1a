"""Live: curves, per-class results, progress and log of the run that is shown."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input

from medtui.client.view import RunView
from medtui.console.live.text import log_text, progress_text
from medtui.console.shell.app_context import key_of
from medtui.console.shell.base import BaseScreen, SeeThrough
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static, border_subtitle, border_title
from medtui.console.widgets.classes import class_rows, classes_text
from medtui.console.widgets.curves import Axis, auc_plot, loss_plot, loss_title
from medtui.console.widgets.plot import Plot, PlotSpec
from medtui.console.widgets.rows import Rows

PLOT_EVERY = 3.0  # seconds, at most, between plots of the running epoch
LIVELY = 0.4  # seconds between progress lines
REFRESH_EVERY = 0.5  # seconds, at least, between complete updates while epochs are short
AXES: tuple[Axis, ...] = ("step", "epoch", "time")


class Live(BaseScreen):
    SCREEN_NAME = "live"
    PANES = (
        ("pane-loss", "loss"),
        ("pane-auc", "validation AUC"),
        ("pane-classes", "per class, worst recall first"),
        ("pane-progress", "progress"),
        ("pane-log", "log"),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("live")

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = False
        self.smoothing = True
        self.axis: Axis = "step"
        self.cursor: int | None = None  # number of the epoch, from 0
        self._plotted_at = 0.0
        self._plotted_key: Any = None
        self._refreshed_at = 0.0
        self._behind = False  # something newer than what is shown
        self._log_key: Any = None

    def compose_body(self) -> ComposeResult:
        run, attach = key_of(self, "live.run"), key_of(self, "run.attach")
        words = f"Nothing is training.\n\n{run} runs the selected recipe; {attach} attaches to a run."
        yield Static(words, id="live-empty")
        with Vertical(id="pane-loss", classes="pane"):
            yield Plot(id="loss")
        with Vertical(id="pane-auc", classes="pane"):
            yield Plot(id="auc")
        with VerticalScroll(id="pane-classes", classes="pane"):
            yield Static(id="classes")
        with Vertical(id="pane-progress", classes="pane"):
            yield Rows("progress")
        with Vertical(id="pane-log", classes="pane"):
            yield Input(placeholder="filter the log", id="log-filter", compact=True)
            yield Rows("log")

    def set_up(self) -> None:
        self.set_interval(LIVELY, self._pulse)
        before, self.view = self.view, None
        self.show(before)

    def show_only(self, number: int) -> None:
        super().show_only(number)
        if self.ready:
            self.call_after_refresh(self._refresh_all)  # what was hidden has a size now

    def _mark_pane(self) -> None:
        """Progress takes few rows: a narrow terminal shows the newest of the log beneath it."""
        super()._mark_pane()
        if self.PANES[self.current_pane][0] == "pane-progress":
            self.query_one("#pane-log").remove_class("-behind")

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
                self.show_only([id_ for id_, _ in self.PANES].index("pane-progress"))  # which shows how and why
            flying = before is not None and before.phase == view.phase == "training" and view.outcome is None
            if flying and time.monotonic() - self._refreshed_at < REFRESH_EVERY:
                self._behind = True  # epochs of a fraction of a second: the pulse draws the newest
            else:
                self._refresh_all()
        elif view.requests != before.requests:
            self._show_log()

    def reports(self, view: RunView) -> bool:
        """The progress pane does: an end brings it to the front, an alarm hides nothing."""
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
            self._show_progress()
            if time.monotonic() - self._plotted_at >= PLOT_EVERY:
                self._show_plots()

    def _refresh_all(self) -> None:
        if not self.alive:
            return
        self._behind, self._refreshed_at = False, time.monotonic()
        self._show_plots()
        self._show_classes()
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

    def _show_plots(self) -> None:
        view = self.view
        if view is None:
            return
        key = (view.state.epochs, view.points, self.log_scale, self.smoothing, self.axis, self.cursor)
        if key == self._plotted_key:
            return
        self._plotted_key, self._plotted_at = key, time.monotonic()
        border_title(self.query_one("#pane-loss"), loss_title(view))
        loss = loss_plot(view, self.axis, log=self.log_scale, smooth=self.smoothing)
        auc = auc_plot(view, self.axis)
        self.query_one("#loss", Plot).show(self._with_cursor(loss, view))
        self.query_one("#auc", Plot).show(self._with_cursor(auc, view))

    def _with_cursor(self, spec: PlotSpec, view: RunView) -> PlotSpec:
        if self.cursor is None or not view.state.epochs:
            return spec
        at = max(0, min(self.cursor, len(view.state.epochs) - 1))
        reference = auc_plot(view, self.axis).series[0]
        return replace(spec, cursor=reference.xs[at])

    def _show_classes(self) -> None:
        if self.view is None:
            return
        widget = self.query_one("#classes", Static)
        split, rows = class_rows(self.view)
        border_title(self.query_one("#pane-classes"), f"per class, {split}, worst recall first")
        widget.update(classes_text(rows, self.size.width - 6))

    def _show_progress(self) -> None:
        if self.view is None:
            return
        width = max(20, self.query_one("#progress").size.width or 40)
        self.query_one("#progress", Rows).update(
            progress_text(self.view, self._app.status.eta, width, self._app.actions)
        )

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

    def action_log_scale(self) -> None:
        self.log_scale = not self.log_scale
        self._show_plots()

    def action_smoothing(self) -> None:
        self.smoothing = not self.smoothing
        self._show_plots()

    def action_axis(self) -> None:
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]
        self._show_plots()

    def action_cursor(self) -> None:
        epochs = len(self.view.state.epochs) if self.view else 0
        self.cursor = None if self.cursor is not None or not epochs else epochs - 1
        self._show_plots()

    def action_move(self, by: int) -> None:
        epochs = len(self.view.state.epochs) if self.view else 0
        if self.cursor is not None and epochs:
            self.cursor = max(0, min(epochs - 1, self.cursor + by))
            self._show_plots()

    def action_enlarge(self) -> None:
        """Show one pane full screen: the focused one, else the losses; again for all panes."""
        if self.has_class("-one"):
            self._show_all()
            return
        pane = self.focused
        while pane is not None and "pane" not in pane.classes:
            pane = pane.parent  # type: ignore[assignment]
        self.add_class("-one")
        large = pane if isinstance(pane, Widget) else self.query_one("#pane-loss")
        large.add_class("-large")
        border_subtitle(large, f"{key_of(self, 'view.back')}: all panes")

    def _show_all(self) -> None:
        self.remove_class("-one")
        for pane in self.query(".pane"):
            pane.remove_class("-large")
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
        elif self.cursor is not None:
            self.action_cursor()
        else:
            self.set_focus(None)
