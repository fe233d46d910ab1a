"""Machine: hardware over the last minutes, who holds the workspace, orphaned engines, diagnostics."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.worker import get_current_worker

from engine.contract.machine.scheduler import scheduler_job
from engine.contract.recipe.sources import facts_of
from engine.contract.store.lock import LockState
from engine.contract.wire.errors import MedtuiError
from medtui.client.diagnose import diagnose
from medtui.client.smoke import Step, smoke
from medtui.console.machine.fetch import AskFetch
from medtui.console.machine.text import WorkspaceState, checks_text, hardware_text, workspace_text
from medtui.console.shell.app_context import key_of
from medtui.console.shell.base import BaseScreen
from medtui.console.shell.dialogs import Question
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static
from medtui.console.widgets.fetch_panel import FetchPanel
from medtui.console.widgets.table import DataTable
from medtui.machine.checks import Check, run_checks
from medtui.machine.hardware import Hardware, read_hardware
from medtui.machine.orphans import OrphanedEngine, end_orphan, find_orphans
from medtui.text import clean, duration

POLL_HARDWARE_EVERY = 1.0  # seconds
POLL_WORKSPACE_EVERY = 5.0  # seconds
KEPT = 180  # samples
SETTLE = 0.5  # seconds after the last of several resizes


class HardwarePolled(Message):
    def __init__(self, hardware: Hardware) -> None:
        super().__init__()
        self.hardware = hardware


class WorkspacePolled(Message):
    def __init__(self, state: WorkspaceState) -> None:
        super().__init__()
        self.state = state


class Checks(Message):
    def __init__(self, checks: list[Check]) -> None:
        super().__init__()
        self.checks = checks


class Report(Message):
    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


class Smoked(Message):
    """Progress of the smoke test."""

    def __init__(self, steps: tuple[Step, ...], words: str = "", *, failed: bool = False) -> None:
        super().__init__()
        self.steps, self.words, self.failed = steps, words, failed

    @property
    def over(self) -> bool:
        return bool(self.words)


class OrphanTable(DataTable):
    BINDINGS: ClassVar[list[BindingType]] = bindings("table")


class Machine(BaseScreen):
    SCREEN_NAME = "machine"
    PANES = (("pane-hardware", "hardware"), ("pane-lock", "workspace"), ("pane-checks", "diagnostics"))
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
        self.read_hardware = read_hardware  # tests replace it
        self.diagnose = diagnose

    def compose_body(self) -> ComposeResult:
        with Container(id="machine-here"):
            with VerticalScroll(id="pane-hardware", classes="pane"):
                yield Static("checking …", id="hardware")
            with Vertical(id="pane-lock", classes="pane"):
                yield Static("checking …", id="workspace-state")
                yield OrphanTable(id="orphans", cursor_type="row")
        with VerticalScroll(id="pane-checks", classes="pane"):
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
        self._poll_hardware()
        self._poll_workspace()
        self.action_refresh_checks()

    # ---- polls: workers that post ----------------------------------------------------------------------------------

    @work(thread=True, exit_on_error=False, exclusive=True, group="hardware")
    def _poll_hardware(self) -> None:
        if self.is_current or not self.past:
            self.post_message(HardwarePolled(self.read_hardware(self._app.workspace.root)))

    @work(thread=True, exit_on_error=False, exclusive=True, group="workspace")
    def _poll_workspace(self) -> None:
        workspace = self._app.workspace
        lock = LockState.read(workspace.lock_file)
        holder = lock.holder
        lives = holder.process.is_alive() if holder is not None else None
        found = WorkspaceState(str(workspace.root), lock, lives, tuple(find_orphans(workspace)), scheduler_job())
        self.post_message(WorkspacePolled(found))

    @work(thread=True, exit_on_error=False, exclusive=True, group="checks")
    def action_refresh_checks(self) -> None:
        worker = get_current_worker()
        facts = self.diagnose(self._app.workspace, cancelled=lambda: worker.is_cancelled or not self._app.is_running)
        if worker.is_cancelled:
            return
        self.facts = facts
        self.post_message(Checks(run_checks(self._app.workspace, self._app.data, facts)))

    @work(thread=True, exit_on_error=False, exclusive=True, group="checks")
    def _check_again(self) -> None:
        """With the engine's previous report, as only files or the terminal have changed."""
        if self.checks is None:
            return
        self.post_message(Checks(run_checks(self._app.workspace, self._app.data, self.facts)))

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
            width = max(20, self.query_one("#pane-lock").size.width - 2)
            self.query_one("#workspace-state", Static).update(workspace_text(self.state, width, self._app.actions))

    def _show_checks(self) -> None:
        if self.checks is not None:
            width = self.query_one("#pane-checks").size.width - 3  # and a column for a scroll bar
            self.query_one("#checks", Static).update(checks_text(self.checks, width))

    def on_resize(self) -> None:
        if not self.ready:
            return
        self.call_after_refresh(self._fit)
        if self._settle is not None:
            self._settle.stop()
        self._settle = self.set_timer(SETTLE, self._settled)

    def _settled(self) -> None:
        """Below a dialog the panes get their sizes late; and the terminal is one of the checks."""
        self._fit()
        self._check_again()

    def _mark_pane(self) -> None:
        super()._mark_pane()
        here = self.query_one("#machine-here")
        here.set_class(not here.query(f"#{self.PANES[self.current_pane][0]}"), "-behind")

    def show_only(self, number: int) -> None:
        super().show_only(number)
        if self.ready:
            self.call_after_refresh(self._fit)  # what was hidden has a size now

    def _fit(self) -> None:
        if self.alive:
            self._show_hardware()
            self._show_workspace()
            self._show_checks()

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
            self.query_one("#smoke", Static).update(smoke_text(message))
            self.query_one("#pane-checks").scroll_end(animate=False)
        if message.over:
            self._app.show_toast(message.words, severity="error" if message.failed else "information")

    # ---- actions ---------------------------------------------------------------------------------------------------

    def action_smoke(self) -> None:
        if self._app.readonly:
            self._app.show_toast("This console is read-only.", severity="warning")
        elif self._smoking:
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

    @work
    async def action_fetch(self) -> None:
        panel = self.query_one(FetchPanel)
        if self._app.readonly:
            self._app.show_toast("This console is read-only.", severity="warning")
        elif panel.fetching:
            self._app.show_toast(f"A file is already being fetched; {key_of(self, 'machine.cancel')} cancels it.")
        else:
            recipe = self._app.chosen_recipe
            facts = facts_of(recipe.dataset) if recipe else None
            name = facts.name if facts is not None and facts.archives else ""  # others cannot be fetched
            size = recipe.dataset.size if recipe else 28
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
        if await self.app.push_screen_wait(Question(words, [("no", "no"), ("yes", "end it")])) == "yes":
            self._end(orphan)

    @work(thread=True, exit_on_error=False)
    def _end(self, orphan: OrphanedEngine) -> None:
        self.post_message(Report(end_orphan(orphan, self._app.workspace)))


def smoke_text(smoked: Smoked) -> Text:
    text = Text("\nsmoke test\n", "bold")
    for step in smoked.steps:
        text.append("✓ ", "green")
        text.append(f"{clean(step.what, 60)} {step.seconds:.1f} s\n")
    if smoked.over:
        text.append(
            f"{'✗' if smoked.failed else '✓'} {clean(smoked.words, 600)}\n", "bold red" if smoked.failed else ""
        )
    else:
        text.append("running …\n", "dim")
    return text
