"""Machine: hardware over the last minutes, who holds the workspace, data, disk, orphaned engines, diagnostics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.timer import Timer
from textual.worker import get_current_worker

from engine.contract.machine.scheduler import scheduler_job
from engine.contract.recipe.sources import facts_of
from engine.contract.store.lock import LockState
from engine.contract.wire.errors import MedtuiError
from medtui.client.diagnose import diagnose
from medtui.client.smoke import Step, smoke
from medtui.console.machine.disk_actions import clear_cache, prune
from medtui.console.machine.explore import explore_images
from medtui.console.machine.fetch import AskFetch
from medtui.console.machine.hardware_text import hardware_text
from medtui.console.machine.messages import (
    Checks,
    Diagnosed,
    HardwarePolled,
    PaneResized,
    Report,
    Smoked,
    StorageRead,
    WorkspacePolled,
)
from medtui.console.machine.storage_text import data_text, disk_text
from medtui.console.machine.text import WorkspaceState, checks_text, smoke_text, workspace_text
from medtui.console.shell.app_context import key_of
from medtui.console.shell.base import BaseScreen
from medtui.console.shell.dialogs import Question
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static
from medtui.console.widgets.fetch_panel import FetchPanel
from medtui.console.widgets.table import DataTable
from medtui.machine.checks import Check, run_checks
from medtui.machine.hardware import Hardware, HardwareReader
from medtui.machine.orphans import OrphanedEngine, end_orphan, find_orphans
from medtui.machine.storage import Storage, scan_storage
from medtui.text import duration

POLL_HARDWARE_EVERY = 1.0  # seconds
POLL_WORKSPACE_EVERY = 5.0  # seconds
READ_DISK_EVERY = 60.0  # seconds, while the screen is shown
REST = 20  # times as long as it took to read a large or slow disk, it is not read again
KEPT = 180  # samples
ROOMY = 160  # columns, from which data and disk have a column of their own
SETTLE = 0.5  # seconds after the last of several resizes


class OrphanTable(DataTable):
    BINDINGS: ClassVar[list[BindingType]] = bindings("table")


class SizedPane(VerticalScroll):
    """A pane whose text is made for its size; that changes with its neighbours' texts too, and late below a dialog."""

    def on_resize(self) -> None:
        self.post_message(PaneResized())


class Machine(BaseScreen):
    SCREEN_NAME = "machine"
    CSS_PATH = "styles.tcss"
    PANES = (
        ("pane-hardware", "hardware"),
        ("pane-lock", "workspace"),
        ("pane-data", "data, weights"),
        ("pane-disk", "disk"),
        ("pane-checks", "diagnostics"),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("machine")

    def __init__(self) -> None:
        super().__init__()
        self.past: deque[Hardware] = deque(maxlen=KEPT)
        self.state: WorkspaceState | None = None
        self.checks: list[Check] | None = None
        self.facts: dict[str, str] | None = None  # what the engine reported about itself
        self.smoked: Smoked | None = None
        self._smoking = False
        self._settle: Timer | None = None
        self.storage = Storage()
        self._disk_due = 0.0  # when it is read again, by a clock that only goes on
        self.read_hardware = HardwareReader()  # tests replace it
        self.scan_storage = scan_storage
        self.diagnose = diagnose

    def compose_body(self) -> ComposeResult:
        with Container(id="machine-here"):
            with SizedPane(id="pane-hardware", classes="pane"):
                yield Static("checking …", id="hardware")
            with SizedPane(id="pane-lock", classes="pane"):
                yield Static("checking …", id="workspace-state")
                yield OrphanTable(id="orphans", cursor_type="row")
        with Container(id="machine-there"):
            with Container(id="machine-files"):
                with SizedPane(id="pane-data", classes="pane"):
                    yield Static("reading …", id="data")
                with SizedPane(id="pane-disk", classes="pane"):
                    yield Static("reading …", id="disk")
            with SizedPane(id="pane-checks", classes="pane"):
                yield FetchPanel(id="fetch")
                yield Static("running diagnostics …", id="checks")
                yield Static(id="smoke")

    def set_up(self) -> None:
        table = self.query_one(OrphanTable)
        for title in ("pid", "age", "memory"):
            table.add_column(Text(title), key=title)
        table.display = False
        self.set_interval(POLL_HARDWARE_EVERY, self._poll_hardware)
        self.set_interval(POLL_WORKSPACE_EVERY, self._poll_workspace)
        self.set_interval(READ_DISK_EVERY, self._read_disk_again)
        self.set_class(self.size.width >= ROOMY, "-roomy")
        self._poll_hardware()
        self._poll_workspace()
        self.action_refresh()

    # ---- polls: workers that post ----------------------------------------------------------------------------------

    def _poll_hardware(self) -> None:
        if self.is_current or not self.past:
            root = self._app.workspace.root
            self.readings.start("hardware", lambda: HardwarePolled(self.read_hardware(root)))

    def _poll_workspace(self) -> None:
        self.readings.start("workspace", self._read_workspace)

    def _read_workspace(self) -> WorkspacePolled:
        workspace = self._app.workspace
        lock = LockState.of_workspace(workspace.folder)
        holder = lock.holder
        lives = holder.process.is_alive() if holder is not None else None
        found = WorkspaceState(str(workspace.root), lock, lives, tuple(find_orphans(workspace)), scheduler_job())
        return WorkspacePolled(found)

    @work(thread=True, exit_on_error=False, exclusive=True, group="storage")
    def _read_disk(self) -> None:
        worker = get_current_worker()

        def cancelled() -> bool:
            return worker.is_cancelled or not self._app.is_running

        began = time.monotonic()
        for storage in self.scan_storage(self._app.workspace, self._app.data, cancelled):
            if cancelled():
                return
            self.post_message(StorageRead(storage, time.monotonic() - began))

    def _read_disk_again(self) -> None:
        """Where it is seen, and due."""
        reading = any(worker.group == "storage" and worker.is_running for worker in self.workers)
        if self.is_current and not reading and time.monotonic() >= self._disk_due:
            self._read_disk()

    @work(thread=True, exit_on_error=False, exclusive=True, group="checks")
    def _check_all(self) -> None:
        worker = get_current_worker()
        facts = self.diagnose(self._app.workspace, cancelled=lambda: worker.is_cancelled or not self._app.is_running)
        if not worker.is_cancelled:
            self.post_message(Diagnosed(facts))

    def on_diagnosed(self, message: Diagnosed) -> None:
        self.facts = message.facts
        self._run_checks()

    def _check_again(self) -> None:
        """With the engine's previous report, as only files or the terminal have changed."""
        if self.checks is not None:
            self._run_checks()

    def _run_checks(self) -> None:
        workspace, data, facts = self._app.workspace, self._app.data, self.facts
        self.readings.start("checks", lambda: Checks(run_checks(workspace, data, facts)))

    def on_hardware_polled(self, message: HardwarePolled) -> None:
        self.past.append(message.hardware)
        if self.alive:
            self._show_hardware()

    def _show_hardware(self) -> None:
        if self.past:
            pane = self.query_one("#pane-hardware").size
            text = hardware_text(list(self.past), max(20, pane.width - 2), pane.height)
            self.query_one("#hardware", Static).update(text)

    def _show_workspace(self) -> None:
        if self.state is not None:
            width = max(20, self.query_one("#pane-lock").size.width - 3)  # and a column for a scroll bar
            text = workspace_text(self.state, width, self._app.actions, self.storage)
            self.query_one("#workspace-state", Static).update(text)

    def _show_storage(self) -> None:
        actions = self._app.actions
        width = max(20, self.query_one("#pane-data").size.width - 3)  # and a column for a scroll bar
        self.query_one("#data", Static).update(data_text(self.storage, width, actions))
        pane = self.query_one("#pane-disk").size
        self.query_one("#disk", Static).update(disk_text(self.storage, max(20, pane.width - 3), pane.height, actions))

    def _show_checks(self) -> None:
        if self.checks is not None:
            width = self.query_one("#pane-checks").size.width - 3  # and a column for a scroll bar
            self.query_one("#checks", Static).update(checks_text(self.checks, width))

    def on_resize(self) -> None:
        if not self.ready:
            return
        self.set_class(self.size.width >= ROOMY, "-roomy")
        if self._settle is not None:
            self._settle.stop()
        self._settle = self.set_timer(SETTLE, self._check_again)  # the terminal is one of the checks

    def on_pane_resized(self) -> None:
        if self.ready:
            self._fit()

    def _mark_pane(self) -> None:
        super()._mark_pane()
        shown = f"#{self.PANES[self.current_pane][0]}"
        for container in self.query("#machine-here, #machine-there, #machine-files"):
            container.set_class(not container.query(shown), "-behind")

    def _fit(self) -> None:
        if self.alive:
            self._show_hardware()
            self._show_workspace()
            self._show_storage()
            self._show_checks()

    def on_screen_resume(self) -> None:
        if self.ready:
            self._read_disk_again()

    def on_storage_read(self, message: StorageRead) -> None:
        kept = self.storage
        if message.storage.done:
            self._disk_due = time.monotonic() + max(READ_DISK_EVERY / 2, REST * message.seconds)
        elif kept.done:  # what is known stays shown until all of it was read again
            return
        self.storage = message.storage
        if self.alive:
            self._show_storage()
            self._show_workspace()

    def on_workspace_polled(self, message: WorkspacePolled) -> None:
        if not self.alive or message.state == self.state:
            return
        before, self.state = self.state, message.state
        self._show_workspace()
        table = self.query_one(OrphanTable)
        table.display = bool(message.state.orphans)
        if before is None or [g.pid for g in before.orphans] != [g.pid for g in message.state.orphans]:
            table.clear()
            for orphan in message.state.orphans:
                words = (str(orphan.pid), duration(orphan.age), f"{orphan.memory / 1e9:.2f} GB")
                table.add_row(*(Text(word) for word in words), key=str(orphan.pid))

    def on_checks(self, message: Checks) -> None:
        self.checks = message.checks
        if self.alive:
            self._show_checks()

    def on_report(self, message: Report) -> None:
        self._app.show_toast(message.words)
        self._poll_workspace()

    def on_smoked(self, message: Smoked) -> None:
        self.smoked = message
        self._smoking = not message.over
        if self.alive:
            text = smoke_text(message.steps, message.words, failed=message.failed)
            self.query_one("#smoke", Static).update(text)
            self.query_one("#pane-checks").scroll_end(animate=False)
        if message.over:
            self._app.show_toast(message.words, severity="error" if message.failed else "information")

    # ---- actions ---------------------------------------------------------------------------------------------------

    def action_refresh(self) -> None:
        self._check_all()
        self._read_disk()

    @work
    async def action_prune(self) -> None:
        await self._do(lambda: prune(self._app))

    @work
    async def action_clear_cache(self) -> None:
        if not self.storage.done:
            self._app.show_toast("The disk is still being read.")
        else:
            await self._do(lambda: clear_cache(self._app, self.storage))

    @work
    async def action_explore(self) -> None:
        await explore_images(self._app)

    async def _do(self, action: Callable[[], Awaitable[str]]) -> None:
        """Something that changes files and reports what it did; "" is nothing."""
        if await self.carry_out(action):
            self._read_disk()

    def action_smoke(self) -> None:
        if not self._app.may_change():
            return
        if self._smoking:
            self._app.show_toast("The smoke test is already running.")
        else:
            self._smoking = True
            self._smoke()
            self._app.show_toast("The smoke test is running; its report is below the diagnostics.")

    @work(thread=True, exit_on_error=False, group="smoke")
    def _smoke(self) -> None:
        worker = get_current_worker()
        steps: list[Step] = []

        def on_step(step: Step) -> None:
            steps.append(step)
            self.post_message(Smoked(tuple(steps)))

        self.post_message(Smoked(()))
        try:
            smoke(lambda: worker.is_cancelled or not self._app.is_running, on_step)
            took = sum(step.seconds for step in steps)
            self.post_message(Smoked(tuple(steps), f"Everything works on this machine: {took:.1f} s."))
        except (MedtuiError, OSError) as error:
            self.post_message(Smoked(tuple(steps), str(error), failed=True))

    def action_fetch(self) -> None:
        recipe = self._app.chosen_recipe
        facts = facts_of(recipe.dataset) if recipe else None
        name = facts.name if facts is not None and facts.archives else ""  # others cannot be fetched
        self.ask_fetch(name, recipe.dataset.size if recipe else 28)

    @work
    async def ask_fetch(self, name: str, size: int) -> None:
        """Ask which file to fetch, with this one filled in; the palette calls this."""
        panel = self.query_one(FetchPanel)
        if not self._app.may_change():
            return
        if panel.fetching:
            self._app.show_toast(f"A file is already being fetched; {key_of(self, 'machine.cancel')} cancels it.")
        else:
            answer = await self.app.push_screen_wait(AskFetch(name, size))
            if answer is not None:
                panel.begin(answer)
                self.show_only([id_ for id_, _ in self.PANES].index("pane-checks"))
                self.query_one("#pane-checks").scroll_home(animate=False)

    def action_cancel_fetch(self) -> None:
        if not self.query_one(FetchPanel).cancel():
            self._app.show_toast("Nothing is being fetched.")

    def on_fetch_panel_over(self, message: FetchPanel.Over) -> None:
        self._app.show_toast(message.words, severity="error" if message.failed else "information")
        self._check_again()
        self._read_disk()

    @work
    async def action_end_orphan(self) -> None:
        state, table = self.state, self.query_one(OrphanTable)
        if state is None or not state.orphans:
            self._app.show_toast("No orphaned engines.")
            return
        if state.scheduler is not None:
            self._app.show_toast(f"Not on a cluster: {state.scheduler} manages its processes.", severity="warning")
            return
        orphan = state.orphans[min(max(0, table.cursor_row), len(state.orphans) - 1)]
        words = f"End engine {orphan.pid}, {duration(orphan.age)} old? It holds no lock and its console is gone."
        if await self.app.push_screen_wait(Question(words, [("no", "leave it"), ("yes", "end it")])) == "yes":
            self._end(orphan)

    @work(thread=True, exit_on_error=False)
    def _end(self, orphan: OrphanedEngine) -> None:
        self.post_message(Report(end_orphan(orphan, self._app.workspace)))
