"""Suites: the grid of a suite, the queue, and every suite of the workspace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.message import Message

from medtui.actions import Action
from medtui.console.shell.app_context import key_of
from medtui.console.shell.base import BaseScreen
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static, border_subtitle, border_title
from medtui.console.suites import suite_actions, text
from medtui.console.suites.curves import group_curves
from medtui.console.suites.reader import SuitesReader, SuitesState
from medtui.console.suites.tables import QueueTable, SuiteGrid, SuiteList
from medtui.console.widgets.plot import Plot, PlotSpec
from medtui.console.widgets.table import DataTable
from medtui.suites.detached import Started
from medtui.suites.status import ItemStatus, word_of
from medtui.suites.store import QUEUE, Store, named_by, queue_of
from medtui.suites.work import Item

POLL_EVERY = 2.0  # seconds, while the screen is shown
WIDE, HIGH = 120, 30  # columns and rows, from which there is room for curves
QUEUE_PANE = 1
OF_QUEUE = ("suites.earlier", "suites.later", "suites.remove")  # actions
ROOMY = 160  # columns, from which the queue has room for what its entries are


class SuitesRead(Message):
    def __init__(self, state: SuitesState) -> None:
        super().__init__()
        self.state = state


class CurvesRead(Message):
    def __init__(self, spec: PlotSpec) -> None:
        super().__init__()
        self.spec = spec


class Suites(BaseScreen):
    SCREEN_NAME = "suites"
    CSS_PATH = "styles.tcss"
    PANES = (("pane-grid", "suite"), ("pane-queue", "queue"), ("pane-suites", "suites"))
    BINDINGS: ClassVar[list[BindingType]] = bindings("suites")

    def __init__(self) -> None:
        super().__init__()
        self.state: SuitesState | None = None
        self._reader: SuitesReader | None = None
        self._name: str | None = None  # of the suite that is shown
        self._curves_of: object = None  # what the curves were read of

    def compose_body(self) -> ComposeResult:
        with Vertical(id="pane-grid", classes="pane"):
            yield Static("reading …", id="suites-empty")
            yield SuiteGrid("grid")
            yield Static(id="suites-selected")
            yield Plot("suites-curves")
        with Container(id="suites-side"):
            with Vertical(id="pane-suites", classes="pane"):
                yield SuiteList("suite-list")
            with Vertical(id="pane-queue", classes="pane"):
                yield Static(id="queue-empty")
                yield QueueTable("queue")
                yield Static(id="queue-selected")

    def set_up(self) -> None:
        self._reader = SuitesReader(self._app.workspace)
        self.set_class(self.size.width >= ROOMY, "-roomy")
        self.query_one(SuiteGrid).focus()
        self._read()
        self.set_interval(POLL_EVERY, self._poll)

    def on_screen_resume(self) -> None:
        if self.alive:
            self._read()

    def _mark_pane(self) -> None:
        super()._mark_pane()
        self.query_one("#suites-side").set_class(self.current_pane == 0, "-behind")

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        if self.is_current:
            self._read()

    def _read(self) -> None:
        reader, name = self._reader, self._name
        if reader is not None:
            self.readings.start("suites", lambda: SuitesRead(reader.read(name)))

    def on_suites_read(self, message: SuitesRead) -> None:
        shown = message.state.shown
        if not self.alive or (self._name is not None and shown is not None and shown.line.name != self._name):
            return  # another one was chosen meanwhile
        self._name = shown.line.name if shown is not None else None
        if message.state != self.state:
            had_queue = self.state is not None and bool(self.state.queue)
            self.state = message.state
            self._fill()
            if shown is None and self.state.queue and not had_queue:
                self.action_show_pane(QUEUE_PANE)  # there is nothing in the others
        self._follow_if_idle()

    def _fill(self) -> None:
        state = self.state
        if state is None or not self.alive:
            return
        grid, empty = self.query_one(SuiteGrid), self.query_one("#suites-empty", Static)
        empty.display, grid.display = state.shown is None, state.shown is not None
        pane = self.query_one("#pane-grid")
        if state.shown is None:
            empty.update(text.empty_text(state, self._app.actions))
            border_title(pane, "suite")
            border_subtitle(pane, "")
        else:
            grid.show(state.shown)
            border_title(pane, text.title_of(state.shown))
            border_subtitle(pane, text.runner_text(state.shown, self._app.actions))
        self.query_one(SuiteList).show(state.suites, self._name)
        self._fill_queue(state)
        self._show_selected()

    def _fill_queue(self, state: SuitesState) -> None:
        queue, empty = self.query_one(QueueTable), self.query_one("#queue-empty", Static)
        empty.display, queue.display = not state.queue, bool(state.queue)
        empty.update(text.empty_queue_text(self._app.actions))
        queue.show(state.queue)
        border_title(self.query_one("#pane-queue"), text.queue_title(state))

    def on_resize(self) -> None:
        if self.alive:
            self.set_class(self.size.width >= ROOMY, "-roomy")
            self.call_after_refresh(self._fill)

    @property
    def _in_queue(self) -> bool:
        return self.query_one(QueueTable).has_focus

    @property
    def selected(self) -> ItemStatus | None:
        """The run under the cursor: of the queue where that has the focus, else of the suite."""
        if self.state is None:
            return None
        if self._in_queue:
            chosen = self.query_one(QueueTable).chosen
            return next((one for one in self.state.queue if one.item.id == chosen), None)
        chosen = self.query_one(SuiteGrid).chosen
        return self.state.shown.runs.get(chosen) if self.state.shown is not None and chosen is not None else None

    def _show_selected(self) -> None:
        """In the pane that the cursor is in; the queue's gets the rows that the other's leaves."""
        of_queue = self._in_queue
        words = text.selected_text(self.selected, self._app.actions)
        self.query_one("#queue-selected" if of_queue else "#suites-selected", Static).update(words)
        self.set_class(of_queue, "-in-queue")
        self.refresh_keys()
        self._show_curves()

    def _show_curves(self) -> None:
        """Of the groups on the data of the selected run; read again when another run is completed."""
        shown, plot = self.state.shown if self.state is not None else None, self.query_one(Plot)
        plot.display = shown is not None and self.size.width >= WIDE and self.size.height >= HIGH
        rows = len(shown.grid.rows) + 2 if shown is not None else 0  # with titles, and a scroll bar below
        self.query_one(SuiteGrid).styles.height = min(rows, self.size.height // 2) if plot.display else None
        if shown is None or not plot.display:
            return
        items = [one.item for one in shown.runs.values()]
        chosen = shown.runs.get(self.query_one(SuiteGrid).chosen or "")
        data = chosen.item.recipe.get("dataset") if chosen is not None else None
        done = {item.id for item in items if item.state == "completed"}
        if (shown.line.name, data, done) != self._curves_of:
            self._curves_of = (shown.line.name, data, done)
            self._read_curves(items, chosen.item if chosen is not None else None)

    def _read_curves(self, items: list[Item], chosen: Item | None) -> None:
        self.readings.start("curves", lambda: CurvesRead(group_curves(items, chosen, self._app.workspace)))

    def on_curves_read(self, message: CurvesRead) -> None:
        if self.alive:
            self.query_one(Plot).show(message.spec)

    @on(DataTable.CellHighlighted, "#grid")
    @on(DataTable.RowHighlighted, "#queue")
    def _moved(self) -> None:
        if self.alive:
            self._show_selected()
            self.follow_selected()

    def on_descendant_focus(self) -> None:
        if self.alive:
            self._show_selected()

    @on(DataTable.RowHighlighted, "#suite-list")
    def _other_suite(self) -> None:
        name = self.query_one(SuiteList).chosen
        if self.alive and name is not None and name != self._name:
            self._name = name
            self._read()

    @on(DataTable.RowSelected, "#suite-list")
    def _to_grid(self) -> None:
        self.action_show_pane(0)

    # ---- one run ---------------------------------------------------------------------------------------------------

    def follow_selected(self) -> None:
        """The run that keys like pause and stop mean is the selected one, if it trains; the top line shows it."""
        selected, view = self.selected, self._app.view
        if selected is None or not selected.lives or selected.item.run is None:
            return
        if view is None or view.run != selected.item.run:
            self._app.attach_to(selected.item.run, quiet=True)

    def nothing_to(self, command: str) -> str | None:
        """Another run than the selected one is never meant."""
        selected = self.selected
        if self.state is None or (self.state.shown is None and not self._in_queue):
            return None
        if selected is None:
            return f"There is no run here: nothing to {command}."
        if not selected.lives:
            return f"This one is {word_of(selected.shown)}: nothing to {command}."
        followed = self._app.handle.run_directory if self._app.handle is not None else None
        is_followed = followed is not None and followed.name == selected.item.run
        return None if is_followed else f"Another run than this one is followed: nothing to {command}."

    def offers(self, action: Action) -> bool:
        if not self.alive:
            return super().offers(action)
        selected = self.selected
        if action.id == "suites.open":
            return selected is not None and selected.item.run is not None
        if action.id in OF_QUEUE:
            return self._in_queue and selected is not None and selected.item.state == "pending"
        if action.id == "suites.retry":
            return selected is not None and selected.item.can_be_retried
        return super().offers(action)

    def _follow_if_idle(self) -> None:
        if self.is_current and not self._app.busy:
            self.follow_selected()

    @on(DataTable.CellSelected, "#grid")
    @on(DataTable.RowSelected, "#queue")
    def action_open(self) -> None:
        """The run in Live while it trains, else in Results."""
        selected = self.selected
        if selected is None or selected.item.run is None:
            self._app.show_toast("This run has not begun yet." if selected is not None else "Select a run first.")
        elif not selected.lives:
            self._app.show_run(selected.item.run)
        elif self._app.attach_to(selected.item.run, quiet=True):
            self._app.go_to("live")

    # ---- actions ---------------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store | None:
        """What the cursor is in: the queue, or the suite that is shown."""
        if self._in_queue:
            return queue_of(self._app.workspace)
        return Store(self._app.workspace, self._name) if self._name is not None else None

    def action_refresh(self) -> None:
        self._read()

    @work(exclusive=True, group="start")
    async def action_new(self) -> None:
        await self._start(lambda: suite_actions.start_new(self._app))

    @work(exclusive=True, group="start")
    async def action_run(self) -> None:
        store = self._needed_store()
        if store is not None:
            await self._start(lambda: suite_actions.resume(self._app, store))

    async def _start(self, ask: Callable[[], Awaitable[Started | None]]) -> None:
        async def start() -> str | None:
            started = await ask()
            if started is None:
                return None
            if (name := named_by(started.owner)) not in (None, QUEUE):
                self._name = name
            return str(started)

        await self._do(start)

    @work
    async def action_end(self) -> None:
        store = self._needed_store()
        if store is not None:
            await self._do(lambda: suite_actions.end(self._app, store))

    @work
    async def action_retry(self) -> None:
        store, selected = self._needed_store(), self.selected
        if store is not None and selected is None:
            self._app.show_toast("There is no run here: nothing to retry.")
        elif store is not None and selected is not None:

            async def retry() -> str:
                return await asyncio.to_thread(suite_actions.retry, store, selected, key_of(self, "suites.run"))

            await self._do(retry)

    @work
    async def action_remove(self) -> None:
        if (entry := self._entry()) is not None:
            await self._do(lambda: suite_actions.remove(self._app, entry))

    @work
    async def action_move_entry(self, by: int) -> None:
        if (entry := self._entry()) is not None:

            async def move() -> None:
                suite_actions.move(self._app, entry, by)

            await self._do(move)

    def _needed_store(self) -> Store | None:
        store = self.store
        if store is None:
            has_queue = self.state is not None and bool(self.state.queue)
            to_queue = f"; {self._key_to_queue} goes to the queue" if has_queue else ""
            self._app.show_toast(f"There is no suite yet; {key_of(self, 'suites.new')} starts one{to_queue}.")
        return store

    @property
    def _key_to_queue(self) -> str:
        """From the pane on either side of it."""
        return key_of(self, "view.next_pane" if self._focused_pane() < QUEUE_PANE else "view.previous_pane")

    def _entry(self) -> ItemStatus | None:
        """The selected entry of the queue."""
        selected = self.selected if self._in_queue else None
        if selected is None and self.state is not None and not self.state.queue:
            self._app.show_toast(text.empty_queue_text(self._app.actions))
        elif selected is None:
            self._app.show_toast(f"Select an entry of the queue first; {self._key_to_queue} goes there.")
        return selected

    async def _do(self, action: Callable[[], Awaitable[str | None]]) -> None:
        """Something that changes the work; None is nothing."""
        if await self.carry_out(action) is not None:
            self._read()
