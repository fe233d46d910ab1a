"""Live: numbers, curves, per-class results, progress and log of the run that is shown."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from medtui.client.view import RunView
from medtui.console.live.machine import machine_text
from medtui.console.live.numbers import numbers_text
from medtui.console.live.plots import ZOOM, room_for, rows_of
from medtui.console.live.plots_pane import PlotsPane
from medtui.console.live.text import log_text, progress_text
from medtui.console.shell.app_context import key_of
from medtui.console.shell.base import BaseScreen, SeeThrough
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static, border_subtitle, border_title
from medtui.console.shell.status_text import AppStatus
from medtui.console.widgets.classes import class_rows, classes_text
from medtui.console.widgets.matrix import confusion_text, latest_confusion, width_of
from medtui.console.widgets.rows import Rows

PLOT_EVERY = 10.0  # seconds, at most, between plots of the running epoch
CLOCK_STANDS = 1.5  # seconds after which the clock of the top line stands still, as in a pause
REFRESH_EVERY = 0.5  # seconds, at least, between complete updates while epochs are short
MOST_NUMBERS = 3  # rows
CONFUSION_TITLE = "confusion, validation"
REST_OF_DETAIL = 84  # columns of the classes and the machine


class ClassesPane(VerticalScroll):
    class Resized(Message):
        """Another size than before, or the first: it is known only after the layout."""

    def on_resize(self) -> None:
        self.post_message(self.Resized())


class Live(BaseScreen):
    SCREEN_NAME = "live"
    CSS_PATH = "styles.tcss"
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
        self._refreshed_at = self._pulsed_at = 0.0
        self._of_top_line: tuple[int | None, int] = (None, 0)  # clock and epoch that it shows
        self._behind = False  # something newer than what is shown
        self._log_key: Any = None
        self._number_rows, self._progress_rows = 1, 3  # that their texts take

    def compose_body(self) -> ComposeResult:
        run, attach = key_of(self, "live.run"), key_of(self, "run.attach")
        words = "" if self._app.readonly else f"{run} runs the selected recipe; "
        yield Static(f"Nothing is training.\n\n{words}{attach} attaches to a run.", id="live-empty")
        yield Rows("numbers")
        yield PlotsPane("pane-plots")
        with Container(id="live-detail"):
            with ClassesPane(id="pane-classes", classes="pane"):
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
        self.plots.recall()
        self._arrange()
        self.set_interval(REFRESH_EVERY, self._catch_up)
        before, self.view = self.view, None
        self.show(before or self._app.view)  # one that was attached to before this screen was there

    def show_only(self, number: int) -> None:
        super().show_only(number)
        if self.ready:
            self.call_after_refresh(self._refresh_all)  # what was hidden has a size now

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
        self.plots.show_grid(across, down)

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

    def show_status(self, view: RunView | None, status: AppStatus) -> None:
        """And what changes with it, in the same frame: a frame costs more than what is new in it."""
        super().show_status(view, status)
        of_top_line = (status.elapsed, view.epoch if view is not None else 0)
        if of_top_line != self._of_top_line:
            self._of_top_line = of_top_line
            self._pulse()

    def _catch_up(self) -> None:
        """Draw the epochs that came too quickly, and go on while no clock does, as in a pause."""
        now = time.monotonic()
        if self._behind and self.is_current and now - self._refreshed_at >= REFRESH_EVERY:
            self._refresh_all()
        elif now - self._pulsed_at >= CLOCK_STANDS:
            self._pulse()

    def _pulse(self) -> None:
        """What changes with each snapshot."""
        if not (self.alive and self.is_current):
            return
        self._pulsed_at = time.monotonic()
        if self.view is not None and self.view.active:
            self._show_numbers()
            self._show_progress()
            self._show_machine()
            if time.monotonic() - self.plots.drawn_at >= PLOT_EVERY:
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
        self.plots.draw_anew()
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

    @property
    def plots(self) -> PlotsPane:
        return self.query_one(PlotsPane)

    def _show_plots(self) -> None:
        if self.view is not None:
            self.plots.draw(self.view)

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

    @property
    def _has_confusion(self) -> bool:
        """Is there a pane with it, in sight or behind another one?"""
        if self.has_class("-narrow"):
            return self.view is not None and latest_confusion(self.view) is not None
        return not self.has_class("-no-confusion") and not self.has_class("-stacked")

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
        shown = {"resources": not has_machine, "of_work": bool(self._app.holding_work)}
        text = progress_text(self.view, self._app.status.eta, width, self._app.actions, **shown)
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
            view.outcome,
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

    def action_next_run(self) -> None:
        if (run := self._app.next_living) is None:
            self._app.show_toast("No other run trains now.")
        else:
            self._app.attach_to(run)

    def action_log_scale(self) -> None:
        self.plots.change(replace(self.plots.shown, log=not self.plots.shown.log), kept=True)

    def action_smoothing(self) -> None:
        self.plots.change(replace(self.plots.shown, smooth=not self.plots.shown.smooth), kept=True)

    def action_axis(self) -> None:
        self.plots.next_axis()

    def action_overlay(self) -> None:
        self.plots.toggle_overlay()

    def action_plots(self) -> None:
        self.plots.next_plots(self._arrange)

    def action_zoom(self, factor: float) -> None:
        self.plots.change(self.plots.shown.zoom(ZOOM**factor, at=1.0))

    def action_cursor(self) -> None:
        self.plots.toggle_cursor()

    def action_move(self, by: int) -> None:
        self.plots.move(by)

    def action_enlarge(self) -> None:
        """Show one pane full screen: the focused one, else the losses; again for all panes."""
        if self.has_class("-one"):
            self._show_all()
            return
        pane = self.focused
        while pane is not None and "pane" not in pane.classes:
            pane = pane.parent  # type: ignore[assignment]
        self.add_class("-one")
        large = pane if isinstance(pane, Widget) else self.query_one(f"#pane-{self.plots.in_sight[0]}")
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
            words = "The confusion matrix is of the test split; it is available after training."
            seen = f" That of the validation split is in the pane “{CONFUSION_TITLE}”." if self._has_confusion else ""
            self._app.show_toast(words + seen)
            return
        self.app.push_screen(ConfusionDialog(run))

    def action_batch(self) -> None:
        from medtui.console.live.batch import BatchDialog

        run = self._app.handle.run_directory if self._app.handle is not None else None
        if run is None or not (run.metrics / "batch.json").is_regular:
            self._app.show_toast("The images of the first training batch are available once training has begun.")
            return
        self.app.push_screen(BatchDialog(run))

    def action_filter(self) -> None:
        field = self.query_one("#log-filter", Input)
        field.add_class("-open")
        self.show_only([id_ for id_, _ in self.PANES].index("pane-log"))
        field.focus()

    @on(Rows.Resized, "#progress")
    def _progress_resized(self) -> None:
        self._show_progress()

    @on(ClassesPane.Resized)
    def _classes_resized(self) -> None:
        self._show_classes()

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
        elif self.plots.shown.cursor is not None:
            self.action_cursor()
        elif self.plots.shown.zoomed:
            self.plots.change(replace(self.plots.shown, window=(0.0, 1.0)))
        else:
            self.set_focus(None)
