"""The console's app: what all screens share. The engine, the lock, the keys; each screen does the rest."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual import work
from textual.binding import BindingType
from textual.command import CommandPalette
from textual.filter import LineFilter
from textual.screen import Screen

from engine.contract.files.paths import absolute
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import MedtuiError, UsageError
from medtui.actions import EVERYWHERE, Action, with_keys
from medtui.console.screens import SCREENS
from medtui.console.shell import keymap
from medtui.console.shell.base import BaseScreen
from medtui.console.shell.dialogs import Help, Question
from medtui.console.shell.keyboard import Keyboard
from medtui.console.shell.keys_in_order import KeysInOrder
from medtui.console.shell.load_history import LoadHistory
from medtui.console.shell.marked_runs import MarkedRuns
from medtui.console.shell.notifications import Link, Notifications, Pace
from medtui.console.shell.opening import Opening
from medtui.console.shell.palette import KeymapCommands
from medtui.console.shell.plain import VisibleText
from medtui.console.shell.status_text import AppStatus, elapsed_of, known
from medtui.console.shell.theme import THEMES
from medtui.rich_output import stderr_console
from medtui.sentences import Console
from medtui.settings import Settings
from medtui.text import clean

if TYPE_CHECKING:
    from engine.contract.recipe.recipe import Recipe
    from engine.contract.store.run_directory import RunDirectory
    from medtui.client.away import Notifier
    from medtui.client.escalation import Escalator
    from medtui.client.occurrences import Occurrences
    from medtui.client.own_engine import OwnEngine
    from medtui.client.run_handle import RunHandle
    from medtui.client.view import RunView
    from medtui.console.recipes.screen import Recipes
    from medtui.console.shell.engines import Engines
    from medtui.console.shell.messages import StatusPolled
    from medtui.machine.gpu import Gpu


TICK = 0.1  # seconds between checks of the view
LEAVING = 2.0  # seconds that a notification which is being delivered may keep the console from leaving
POLL_STATUS_EVERY = 2.0  # seconds between polls of the lock


class ConsoleApp(KeysInOrder, inherit_bindings=False):
    """`medtui` without a command."""

    CSS_PATH = "styles.tcss"
    SCREENS = SCREENS
    TITLE = "medtui"
    BINDINGS: ClassVar[list[BindingType]] = keymap.bindings(EVERYWHERE)
    COMMANDS: ClassVar[set[Any]] = {KeymapCommands}
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    ALLOW_SELECT = False

    def __init__(
        self,
        workspace: Workspace,
        *,
        data: list[str] | None = None,
        settings: Settings | None = None,
        readonly: bool = False,
        model: type[Recipe] | None = None,
        make_engine: Callable[[Workspace], OwnEngine] | None = None,
        warm: bool = True,
        attach: RunDirectory | None = None,
    ) -> None:
        """`attach`: a run to open with; `model` and `make_engine` are for tests."""
        super().__init__(driver_class=Keyboard)
        self.error_console = stderr_console()  # for messages when it ends
        self._visible = VisibleText()
        self.workspace = workspace
        self.data = data or []
        self.settings = settings or Settings()
        self.readonly = readonly
        self.marked_runs = MarkedRuns()
        self._model, self._make_engine, self._keep_warm = model, make_engine, warm and not readonly
        self.today, self.now = date.today, time.time  # tests set others
        self.status = AppStatus(readonly=readonly)
        self._run_notifications, self._pace, self._link = Notifications(), Pace(), Link(TICK)
        self._occurrences: Occurrences | None = None  # of the run that is shown
        self._shown: RunView | None = None
        self._key_states: tuple[object, ...] = ()  # that the key line was made of
        self._shown_status: tuple[Any, AppStatus | None, str] = (None, None, "")  # in the top line
        self._holder_run: str | None = None
        self._gpus: tuple[Gpu, ...] = ()
        self.load_history = LoadHistory()
        self._attach_first = attach
        self.actions = with_keys(self.settings.keys)

    # ---- start and end ---------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[self.settings.theme].name
        if self.settings.keys:
            self.set_keymap(self.settings.keys)
        self.push_screen(Opening())  # imports nothing slow
        # on the app's own pump: the one of the screen that is replaced could not wait for its end
        self.call_after_refresh(self.call_later, self._after_first_paint)

    async def _after_first_paint(self) -> None:
        first = "recipes" if self._attach_first is None else self._open_attached(self._attach_first)
        if isinstance(self.screen, Opening):
            await self.switch_screen(first)
        gc.freeze()  # these objects stay
        gc.enable()
        self.set_interval(TICK, self._tick)
        self._poll_status()
        self.set_interval(POLL_STATUS_EVERY, self._poll_status)
        self.set_timer(0.3, self.engines.warm_up)
        for warning in self.settings.warnings:
            self.show_toast(warning, severity="warning")

    def get_default_screen(self) -> Screen[Any]:
        return Screen(id="_default")

    def call_from_signal(self) -> None:
        """Leave at once; unsaved edits stay as drafts. May be called from a signal handler."""
        loop = self._loop
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(self.exit, 0)

    def on_unmount(self) -> None:
        if "engines" in self.__dict__:
            self.engines.close()
        if "notifier" in self.__dict__:
            self.notifier.close(LEAVING)

    # ---- the run ---------------------------------------------------------------------------------------------------

    @cached_property
    def recipe_model(self) -> type[Recipe]:
        from engine.contract.recipe.recipe import Recipe

        return self._model or Recipe

    @cached_property
    def engines(self) -> Engines:
        from medtui.client.own_engine import OwnEngine
        from medtui.console.shell.engines import Engines

        return Engines(self.workspace, self._make_engine or OwnEngine, keep_warm=self._keep_warm)

    @property
    def handle(self) -> RunHandle | None:
        return self.engines.handle

    @property
    def view(self) -> RunView | None:
        return self.engines.view

    @property
    def busy(self) -> bool:
        return self.engines.busy

    def start_run(self, recipe: dict[str, Any]) -> None:
        """Ask for training. Raises MedtuiError where that is impossible."""
        self._start(lambda: self.engines.train(recipe, self.data))

    def resume_run(self, run: RunDirectory) -> None:
        """Ask for a run to be resumed. Raises MedtuiError where that is impossible."""
        self._start(lambda: self.engines.resume(run, self.data))

    def _start(self, ask: Callable[[], None]) -> None:
        if self.readonly:
            raise UsageError(Console.READ_ONLY)
        if self.engines.trains_here:
            raise UsageError(Console.TRAINING)
        if (holder := self.engines.held_by_another()) is not None:  # what is shown stays shown
            raise UsageError(Console.HELD_BY_ANOTHER, holder=holder, key=self.actions["run.attach"].key)
        ask()
        self._begin()
        self.go_to("live")

    def _begin(self) -> None:
        """Another run is shown: nothing about it is reported yet."""
        self._run_notifications, self._pace = Notifications(), Pace()
        self._shown, self._occurrences = None, None

    def command(self, name: str) -> None:
        """Send a command to the engine; its answer is an event."""
        if self.readonly:
            self.show_toast("This console is read-only.", severity="warning")
        elif self.handle is None or not self.busy:
            self.show_toast("Nothing is training.", severity="warning")
        else:
            self._send(self.handle, name)
        self._tick()

    def _send(self, handle: RunHandle, name: str) -> None:
        from medtui.console.shell.engines import who

        try:
            if handle.command(name, who()) is None:
                self.show_toast("The engine no longer accepts commands.", severity="warning")
        except MedtuiError as error:
            self.show_toast(str(error), severity="error")

    @property
    def escalator(self) -> Escalator | None:
        return self.engines.escalator

    def end_run(self) -> None:
        """Escalate; where no signal reaches the engine, ask it to abort and report who else can end it."""
        if self.readonly:
            self.show_toast("This console is read-only.", severity="warning")
            return
        from medtui.client.attached import AttachedRun
        from medtui.client.control import NothingToCommand, describe_remote_engine

        try:
            self.engines.end_run()
        except NothingToCommand:
            self.command("abort")
            status = self.handle.status if isinstance(self.handle, AttachedRun) else None
            self.show_toast(
                (describe_remote_engine(status) if status else None) or "Its engine is unknown.", severity="warning"
            )

    # ---- notifications ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        link = self._link.ticked(time.monotonic())
        if link != self.status.link:
            self.status = replace(self.status, link=link)
        view = self.view
        if view is not self._shown:
            self._shown = view
            self.load_history.add(view, self._gpus)
            if view is not None and view.outcome is not None and view.own:
                self.engines.warm_up()
            if self.base_screen is not None:
                self.base_screen.show(view)
            if view is not None:
                left = self._pace.left(view)
                self.status = replace(self.status, eta=left if left is None else round(left))
        if view is not None:
            if (elapsed := elapsed_of(view, self.now())) != self.status.elapsed:
                self.status = replace(self.status, elapsed=elapsed)
            self._notify_changes(view)  # also where nothing comes any more: that is a stall
        if self._shown_status != (known(view), self.status, self.screen_name):
            self._show_status(view)

    def _show_status(self, view: RunView | None) -> None:
        base_screen = self.base_screen
        if base_screen is None or not base_screen.alive:
            return
        self._shown_status = (known(view), self.status, self.screen_name)
        base_screen.show_status(view, self.status)
        key_states = (
            view.phase if view else None,
            *(self.can(action) for action in self.actions.values() if action.footer),
        )
        if key_states != self._key_states:
            self._key_states = key_states
            base_screen.refresh_keys()

    @cached_property
    def notifier(self) -> Notifier:
        from medtui.client.away import Notifier

        def warn(text: str) -> None:  # called from its thread
            self.call_later(self.show_toast, text, severity="warning")

        return Notifier(self.settings.away, warn)

    def _notify_changes(self, view: RunView) -> None:
        """What is new: by the bell, a desktop notification, a toast where the screen does not show it itself, and as
        the settings say to somebody who is away."""
        if self._occurrences is None:
            from medtui.client.occurrences import Occurrences

            self._occurrences = Occurrences()
        occurrences = self._occurrences.of(view, time.monotonic())
        if not occurrences:
            return
        for occurrence in occurrences:
            self.notifier.notify(occurrence, view)
        for words, severity in self._run_notifications.of(occurrences):
            is_shown = severity != "warning" and self.base_screen is not None and self.base_screen.reports(view)
            if not is_shown:  # no screen has a place for a stall
                self.show_toast(words, severity=severity)
            if self.settings.bell:
                self.bell()
            if self.settings.notify and self._driver is not None and not self.is_headless:
                self._driver.write(f"\x1b]9;medtui: {clean(words, 200)}\x07")

    def show_toast(self, text: str, *, severity: Any = "information") -> None:
        """A short notification."""
        self.notify(text, severity=severity, timeout=8 if severity == "error" else 4)

    def notify(self, message: str, *, title: str = "", **options: Any) -> None:
        """Never markup."""
        super().notify(clean(message, 600), title=clean(title, 100), **(options | {"markup": False}))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Filters that every line of every widget passes before it is drawn."""
        return [*super().get_line_filters(), self._visible]

    @work(thread=True, exclusive=True, exit_on_error=False, group="status")
    def _poll_status(self) -> None:
        from medtui.console.shell.messages import poll_status

        run = self.view.run if self.view is not None else None
        self.post_message(poll_status(self.workspace, self.engines.is_own, run))

    def on_status_polled(self, message: StatusPolled) -> None:
        from medtui.machine.gpu import format_gpus

        self._gpus = message.gpus
        self.status = replace(self.status, lock=message.lock, gpu=format_gpus(message.gpus))
        self._holder_run = message.holder_run
        if message.holder_run is not None and self.handle is None:
            self.attach_to(message.holder_run)

    # ---- screens and keys ------------------------------------------------------------------------------------------

    @property
    def base_screen(self) -> BaseScreen | None:
        """The base screen that is shown, below any dialog."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, BaseScreen)), None)

    @property
    def screen_name(self) -> str:
        return self.base_screen.SCREEN_NAME if self.base_screen is not None else ""

    def get_base_screen(self, name: str) -> BaseScreen:
        base_screen = self.get_screen(name)
        assert isinstance(base_screen, BaseScreen)
        return base_screen

    @property
    def _recipes(self) -> Recipes:
        return cast("Recipes", self.get_screen("recipes"))

    @property
    def chosen_recipe(self) -> Recipe | None:
        """What Recipes shows, where it is valid."""
        checked = self._recipes.checked
        return checked.recipe if checked is not None else None

    def run_chosen(self) -> None:
        """Train the recipe that Recipes shows; whatever prevents that is fixed there."""
        if self.chosen_recipe is None:
            self.go_to("recipes")
        self._recipes.action_run()

    def go_to(self, screen: str) -> None:
        """Show a screen, once the current action is done."""
        self.call_later(self.action_show_screen, screen)

    def open_recipe(self, path: Path) -> None:
        """Show a recipe in Recipes."""
        self._recipes.open_path(path)
        self.go_to("recipes")

    def can(self, action: Action) -> bool:
        return keymap.possible(
            action, self.view, busy=self.busy, trains_here=self.engines.trains_here, readonly=self.readonly
        )

    async def do(self, action: Action) -> None:
        """An action of a widget is run by the one that has the focus, or contains it."""
        inside = self.focused.ancestors_with_self if self.focused is not None else ()
        widget = next((node for node in inside if action.scope in keymap.scopes_of(node.BINDINGS)), self.screen)
        await self.run_action(action.action, self if action.scope == EVERYWHERE else widget)

    async def action_show_screen(self, name: str) -> None:
        if len(self.screen_stack) > 2:  # a dialog is open
            return
        if self.screen_name != name:
            self.get_base_screen(name).show_status(self.view, self.status)  # before it is seen: what it shows is old
            await self.switch_screen(name)
        base_screen = self.base_screen
        if base_screen is not None:
            self._key_states = ()
            base_screen.show(self.view)
            self._show_status(self.view)

    def action_pause(self) -> None:
        view = self.view
        self.command("resume" if view is not None and view.phase == "paused" else "pause")

    def action_checkpoint(self) -> None:
        self.command("checkpoint")

    def action_kill_switch(self, command: str) -> None:
        from medtui.console.kill_switch.screen import KillSwitch

        if isinstance(self.screen, KillSwitch):
            return
        self.push_screen(KillSwitch(command))

    def action_attach(self) -> None:
        from engine.contract.store.run_directory import list_runs

        runs = list_runs(self.workspace.outputs)
        word = self._holder_run or (runs[-1].name if runs else None)
        if word is None:
            self.show_toast("No runs to attach to yet.", severity="warning")
        elif self.attach_to(word):
            self.go_to("live")

    def attach_to(self, name: str) -> bool:
        """Attach to a run of this workspace. False when that is impossible."""
        if self.busy and self.view is not None and self.view.run == name:
            return True
        if self.engines.trains_here:
            self.show_toast("This console is training; stop its run or open another console.", severity="warning")
            return False
        from engine.contract.store.run_directory import RunDirectory

        run = RunDirectory(self.workspace.outputs / name)
        if not run.journal.is_there:
            self.show_toast(f"No run found at {run.root}.", severity="warning")
            return False
        self.engines.attach(run)
        self._begin()
        self.show_toast(f"Attached to {name}.")
        return True

    def _open_attached(self, run: RunDirectory) -> str:
        """Attach to a run; the name of the screen that shows it: Live for an active one, Results for a finished one."""
        from engine.contract.store.status import read_status

        self.attach_to(run.name)
        status = read_status(run)
        if status is None or status.outcome is None:
            return "live"
        from medtui.console.results.screen import Results

        results = self.get_base_screen("results")
        assert isinstance(results, Results)
        results.choose(run.name)
        return "results"

    def action_command_palette(self) -> None:
        if not any(isinstance(screen, CommandPalette) for screen in self.screen_stack):  # below the kill switch, too
            super().action_command_palette()

    def action_help(self) -> None:
        self.push_screen(Help(self.screen_name, self.actions))

    def action_theme(self) -> None:
        self.theme = THEMES["light" if self.theme == THEMES["dark"].name else "dark"].name

    @work
    async def action_leave(self) -> None:
        """Quit; ask first where something would be lost or continues."""
        if isinstance(self.screen, Question):
            return
        from medtui.console.quit_questions import describe_left_run, may_leave

        if await may_leave(self, self._recipes.open_recipes):
            left = describe_left_run(self.view)
            self.exit(0, message=Text(left) if left else None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of unavailable actions do nothing."""
        shared = {"kill_switch": "run.stop", "pause": "run.pause", "checkpoint": "run.checkpoint"}
        return action not in shared or self.can(self.actions[shared[action]])

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[Any]:
        return ()


def app_for(
    workspace: Workspace,
    data: Path | None,
    settings: Settings,
    *,
    readonly: bool,
    attach: RunDirectory | None = None,
) -> ConsoleApp:
    folders = [str(absolute(data))] if data is not None else []
    return ConsoleApp(workspace, data=folders, settings=settings, readonly=readonly, attach=attach)
