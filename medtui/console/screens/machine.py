"""Machine: hardware over the last minutes, who holds the workspace, leftover engines, diagnostics."""

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
from textual.widgets import DataTable, Static
from textual.worker import get_current_worker

from engine.contract.datasets import datasets
from engine.contract.errors import MedtuiError
from engine.contract.lock import is_locked, read_holder
from engine.contract.process_identity import ProcessIdentity
from engine.contract.scheduler import scheduler_job
from medtui.client.diagnose import diagnose
from medtui.client.smoke import Step, smoke
from medtui.console.keymap import bindings
from medtui.console.machine_text import WorkspaceState, checks_text, hardware_text, workspace_text
from medtui.console.screens.dialogs import Question
from medtui.console.screens.fetch import AskFetch
from medtui.console.screens.room import Room
from medtui.console.widgets.fetch_panel import FetchPanel
from medtui.machine.checks import Check, run_checks
from medtui.machine.ghosts import Ghost, end, ghosts
from medtui.machine.hardware import Hardware, look
from medtui.text import clean, duration

LOOK_EVERY = 1.0  # seconds
GHOSTS_EVERY = 5.0  # seconds
KEPT = 180  # looks
SETTLE = 0.5  # seconds after the last of several sizes


class Looked(Message):
    def __init__(self, hardware: Hardware) -> None:
        super().__init__()
        self.hardware = hardware


class LookedAtWorkspace(Message):
    def __init__(self, state: WorkspaceState) -> None:
        super().__init__()
        self.state = state


class Checks(Message):
    def __init__(self, checks: list[Check]) -> None:
        super().__init__()
        self.checks = checks


class Said(Message):
    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


class Smoked(Message):
    """How far the smoke test is."""

    def __init__(self, steps: tuple[Step, ...], words: str = "", *, failed: bool = False) -> None:
        super().__init__()
        self.steps, self.words, self.failed = steps, words, failed

    @property
    def over(self) -> bool:
        return bool(self.words)


class GhostTable(DataTable[Text]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("table")


class Machine(Room):
    ROOM = "machine"
    PANES = (("pane-hardware", "hardware"), ("pane-lock", "workspace"), ("pane-checks", "diagnostics"))
    BINDINGS: ClassVar[list[BindingType]] = bindings("machine")

    def __init__(self) -> None:
        super().__init__()
        self.past: deque[Hardware] = deque(maxlen=KEPT)
        self.state: WorkspaceState | None = None
        self.checks: list[Check] | None = None
        self.facts: dict[str, str] | None = None  # what the engine said of itself
        self.smoked: Smoked | None = None
        self._smoking = False
        self._settle: Timer | None = None
        self.look = look  # tests put a machine of their own here
        self.diagnose = diagnose

    def compose_body(self) -> ComposeResult:
        with Container(id="machine-here"):
            with VerticalScroll(id="pane-hardware", classes="pane"):
                yield Static("looking …", id="hardware", markup=False)
            with Vertical(id="pane-lock", classes="pane"):
                yield Static("looking …", id="workspace-state", markup=False)
                yield GhostTable(id="ghosts", cursor_type="row")
        with VerticalScroll(id="pane-checks", classes="pane"):
            yield FetchPanel(id="fetch", markup=False)
            yield Static("asking the engine …", id="checks", markup=False)
            yield Static(id="smoke", markup=False)

    def set_up(self) -> None:
        table = self.query_one(GhostTable)
        for title in ("pid", "age", "memory"):
            table.add_column(Text(title), key=title)
        table.display = False
        self.set_interval(LOOK_EVERY, self._look)
        self.set_interval(GHOSTS_EVERY, self._look_at_workspace)
        self._look()
        self._look_at_workspace()
        self.action_refresh_checks()

    # ---- looks: workers that post ----------------------------------------------------------------------------------

    @work(thread=True, exit_on_error=False, exclusive=True, group="look")
    def _look(self) -> None:
        if self.is_current or not self.past:
            self.post_message(Looked(self.look(self._app.workspace.root)))

    @work(thread=True, exit_on_error=False, exclusive=True, group="workspace")
    def _look_at_workspace(self) -> None:
        workspace = self._app.workspace
        locked = is_locked(workspace.lock_file)
        holder = read_holder(workspace.lock_file) if locked else None
        lives = ProcessIdentity(holder.pid, holder.started, holder.host, holder.boot).is_alive() if holder else None
        found = WorkspaceState(str(workspace.root), locked, holder, lives, tuple(ghosts(workspace)), scheduler_job())
        self.post_message(LookedAtWorkspace(found))

    @work(thread=True, exit_on_error=False, exclusive=True, group="checks")
    def action_refresh_checks(self) -> None:
        worker = get_current_worker()
        facts = self.diagnose(self._app.workspace, given_up=lambda: worker.is_cancelled or not self._app.is_running)
        if worker.is_cancelled:
            return
        self.facts = facts
        self.post_message(Checks(run_checks(self._app.workspace, self._app.data, facts)))

    @work(thread=True, exit_on_error=False, exclusive=True, group="checks")
    def _check_again(self) -> None:
        """With what the engine said before, as only files have changed, or the terminal."""
        if self.checks is None:
            return
        self.post_message(Checks(run_checks(self._app.workspace, self._app.data, self.facts)))

    def on_looked(self, message: Looked) -> None:
        self.past.append(message.hardware)
        if self.alive:
            self._show_hardware()

    def _show_hardware(self) -> None:
        if self.past:
            place = self.query_one("#pane-hardware").size
            text = hardware_text(list(self.past), max(20, place.width - 2), place.height)
            self.query_one("#hardware", Static).update(text)

    def _show_workspace(self) -> None:
        if self.state is not None:
            width = max(20, self.query_one("#pane-lock").size.width - 2)
            self.query_one("#workspace-state", Static).update(workspace_text(self.state, width))

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
        self._settle = self.set_timer(SETTLE, self._check_again)  # the terminal is one of the things looked at

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

    def on_looked_at_workspace(self, message: LookedAtWorkspace) -> None:
        if not self.alive or message.state == self.state:
            return
        before, self.state = self.state, message.state
        self._show_workspace()
        table = self.query_one(GhostTable)
        table.display = bool(message.state.ghosts)
        if before is None or [g.pid for g in before.ghosts] != [g.pid for g in message.state.ghosts]:
            table.clear()
            for ghost in message.state.ghosts:
                words = (str(ghost.pid), duration(ghost.age), f"{ghost.memory / 1e9:.2f} GB")
                table.add_row(*(Text(word) for word in words), key=str(ghost.pid))

    def on_checks(self, message: Checks) -> None:
        self.checks = message.checks
        if self.alive:
            self._show_checks()

    def on_said(self, message: Said) -> None:
        self._app.say(message.words)
        self._look_at_workspace()

    def on_smoked(self, message: Smoked) -> None:
        self.smoked = message
        self._smoking = not message.over
        if self.alive:
            self.query_one("#smoke", Static).update(smoke_text(message))
            self.query_one("#pane-checks").scroll_end(animate=False)
        if message.over:
            self._app.say(message.words, severity="error" if message.failed else "information")

    # ---- actions ---------------------------------------------------------------------------------------------------

    def action_smoke(self) -> None:
        if self._app.readonly:
            self._app.say("Read only: nothing can be changed.", severity="warning")
        elif self._smoking:
            self._app.say("The smoke test runs already.")
        else:
            self._smoking = True
            self._smoke()
            self._app.say("The smoke test runs; its report stands below the diagnostics.")

    @work(thread=True, exit_on_error=False, group="smoke")
    def _smoke(self) -> None:
        worker = get_current_worker()
        steps: list[Step] = []

        def tell(step: Step) -> None:
            steps.append(step)
            self.post_message(Smoked(tuple(steps)))

        self.post_message(Smoked(()))
        try:
            smoke(lambda: worker.is_cancelled or not self._app.is_running, tell)
            took = sum(step.seconds for step in steps)
            self.post_message(Smoked(tuple(steps), f"Everything works on this machine: {took:.1f} s."))
        except (MedtuiError, OSError) as error:
            self.post_message(Smoked(tuple(steps), str(error), failed=True))

    @work
    async def action_fetch(self) -> None:
        panel = self.query_one(FetchPanel)
        if self._app.readonly:
            self._app.say("Read only: nothing can be changed.", severity="warning")
        elif panel.fetching:
            self._app.say("Something is being fetched already; c cancels it.")
        else:
            recipe = self._app.chosen_recipe
            name, size = (recipe.dataset.name, recipe.dataset.size) if recipe else ("", 28)
            if name in datasets() and datasets()[name].synthetic:  # it is drawn, not fetched
                name = ""
            answer = await self.app.push_screen_wait(AskFetch(name, size))
            if answer is not None:
                panel.begin(answer)
                self.show_only([id_ for id_, _ in self.PANES].index("pane-checks"))
                self.query_one("#pane-checks").scroll_home(animate=False)

    def action_cancel_fetch(self) -> None:
        if not self.query_one(FetchPanel).cancel():
            self._app.say("Nothing is being fetched.")

    def on_fetch_panel_over(self, message: FetchPanel.Over) -> None:
        self._app.say(message.words, severity="error" if message.failed else "information")
        self._check_again()

    @work
    async def action_end_ghost(self) -> None:
        state, table = self.state, self.query_one(GhostTable)
        if state is None or not state.ghosts:
            self._app.say("There is no leftover engine.")
            return
        if state.scheduler is not None:
            self._app.say(f"Not on a cluster: {state.scheduler} looks after its processes.", severity="warning")
            return
        ghost = state.ghosts[min(max(0, table.cursor_row), len(state.ghosts) - 1)]
        words = f"End engine {ghost.pid}, {duration(ghost.age)} old? It holds no lock and its console is gone."
        if await self.app.push_screen_wait(Question(words, [("no", "no"), ("yes", "end it")])) == "yes":
            self._end(ghost)

    @work(thread=True, exit_on_error=False)
    def _end(self, ghost: Ghost) -> None:
        self.post_message(Said(end(ghost, self._app.workspace)))


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
