"""The console's app: what all screens share. The engine, the lock, the keys; each screen does the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual import work
from textual.app import App
from textual.binding import BindingType
from textual.command import CommandPalette
from textual.filter import LineFilter
from textual.screen import Screen
from textual.theme import Theme

from engine.contract.files.paths import absolute
from engine.contract.store.workspace import Workspace
from medtui.actions import EVERYWHERE, Action, with_keys
from medtui.console.first_screen import find_first_screen
from medtui.console.palette.providers import PROVIDERS
from medtui.console.screens import SCREENS
from medtui.console.shell import keymap
from medtui.console.shell.base import BaseScreen
from medtui.console.shell.dialogs import Dialog, Help
from medtui.console.shell.garbage import begin_search
from medtui.console.shell.keyboard import Keyboard
from medtui.console.shell.load_history import LoadHistory
from medtui.console.shell.marked_runs import MarkedRuns
from medtui.console.shell.notifications import Link, Pace, RunNotifier, Severity
from medtui.console.shell.opening import Opening
from medtui.console.shell.painted import PaintedPictures
from medtui.console.shell.plain import VisibleText
from medtui.console.shell.readings import Readings
from medtui.console.shell.run_control import RunControl
from medtui.console.shell.status_text import OWN, AppStatus, elapsed_of, known
from medtui.console.shell.stylesheet import ParsedOnce
from medtui.console.shell.theme import THEMES
from medtui.preferences import Preferences, keep_setting, with_chosen
from medtui.rich_output import stderr_console
from medtui.settings import Settings
from medtui.text import clean, duration

if TYPE_CHECKING:
    from engine.contract.recipe.recipe import Recipe
    from engine.contract.store.run_directory import RunDirectory
    from medtui.client.own_engine import OwnEngine
    from medtui.client.view import RunView
    from medtui.console.machine.screen import Machine
    from medtui.console.recipes.screen import Recipes
    from medtui.console.results.screen import Results
    from medtui.console.shell.messages import StatusPolled
    from medtui.machine.gpu import Gpus


TICK = 0.1  # seconds between checks of the view
LEAVING = 2.0  # seconds that a notification which is being delivered may keep the console from leaving
POLL_STATUS_EVERY = 2.0  # seconds between polls of the lock


class ConsoleApp(PaintedPictures, RunControl, inherit_bindings=False):
    """`medtui` without a command."""

    CSS_PATH = "styles.tcss"
    SCREENS = SCREENS
    TITLE = "medtui"
    BINDINGS: ClassVar[list[BindingType]] = keymap.bindings(EVERYWHERE)
    COMMANDS: ClassVar[set[Any]] = PROVIDERS
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
        super().__init__(Keyboard, workspace, data or [], readonly=readonly, make_engine=make_engine, warm=warm)
        self.error_console = stderr_console()  # for messages when it ends
        self._visible = VisibleText()
        self.preferences = Preferences()
        self._given_settings = settings or Settings()  # of the file
        self.settings = with_chosen(self._given_settings, self.preferences)
        self._begin_with_theme(THEMES[self.settings.theme])
        self.decide_graphics(self.settings.pictures)
        self.marked_runs = MarkedRuns()
        self._model = model
        self.today, self.now = date.today, time.time  # tests set others
        self.status = AppStatus(readonly=readonly)
        self._run_notifier = RunNotifier(self.settings.away, self._report, self._warn)
        self._pace, self._link = Pace(), Link(TICK)
        self._left: float | None = None  # seconds, by the newest snapshot
        self._shown: RunView | None = None
        self._key_states: tuple[object, ...] = ()  # that the key line was made of
        self._shown_status: tuple[Any, AppStatus | None, str] = (None, None, "")  # in the top line
        self._gpus: Gpus | None = None  # before the first poll
        self._worked: str | None = None  # the suite, or the queue, that has a runner
        self.load_history = LoadHistory()
        self._readings = Readings(self)
        self._attach_first = attach
        self._leaving = False  # asked about
        self.actions = with_keys(self.settings.keys)

    # ---- start and end ---------------------------------------------------------------------------------------------

    def _begin_with_theme(self, theme: Theme) -> None:
        """Before any style is parsed: a theme that comes later has all of them parsed again."""
        for one in THEMES.values():
            self.register_theme(one)
        self.set_reactive(App.theme, theme.name)
        self.stylesheet = ParsedOnce(self.get_css_variables())

    def on_mount(self) -> None:
        if self.settings.keys:
            self.set_keymap(self.settings.keys)
        self.push_screen(Opening())  # imports nothing slow
        # on the app's own pump: the one of the screen that is replaced could not wait for its end
        self.call_after_refresh(self.call_later, self._after_first_paint)

    async def _after_first_paint(self) -> None:
        first = await find_first_screen(self.workspace, self._attach_first)
        if not self.screen_stack:  # it was closed meanwhile
            return
        screen = first.screen if first.run is None else "recipes"
        if first.run is not None and self.attach_to(first.run):
            screen = first.screen
            if screen == "results":
                cast("Results", self.get_screen("results")).choose(first.run)
        if isinstance(self.screen, Opening):
            await self.switch_screen(screen)
        begin_search()
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
        self.free_graphics()
        if "engines" in self.__dict__:
            self.engines.close()
        self._run_notifier.close(LEAVING)
        self.preferences.close(LEAVING)

    @cached_property
    def recipe_model(self) -> type[Recipe]:
        from engine.contract.recipe.recipe import Recipe

        return self._model or Recipe

    # ---- the run that is shown -------------------------------------------------------------------------------------

    def _begin_run(self) -> None:
        self._run_notifier.begin()
        self._pace, self._left, self._shown = Pace(), None, None

    def show_view(self) -> None:
        if self.base_screen is not None:
            self.base_screen.show(self.view)

    def _show_changes(self) -> None:
        self._tick()

    # ---- notifications ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        link = self._link.ticked(time.monotonic())
        if link != self.status.link:
            self.status = replace(self.status, link=link)
        view = self.view
        if view is not self._shown:
            if self._shown is None or view is None or view.phase != self._shown.phase:
                self._poll_status()  # who holds the workspace changes with it
            self._shown = view
            self.load_history.add(view, self._gpus)
            if view is not None and view.outcome is not None and view.own:
                self.engines.warm_up()
            self.show_view()
            self._left = self._pace.left(view) if view is not None else None
        if view is not None:
            self._run_notifier.update(view)
            self._show_times(view)
        if self._shown_status != (known(view), self.status, self.screen_name):
            self._show_status(view)

    def _show_times(self, view: RunView) -> None:
        """Once per second: with each snapshot the remaining time is another, and each change is a frame to draw."""
        waited = self._run_notifier.stalled
        stalled = duration(int(waited)) if waited is not None else ""
        elapsed, left = elapsed_of(view, self.now()), None if stalled else self._left  # it would stand still
        if (elapsed, stalled) != (self.status.elapsed, self.status.stalled) or (left is None) != (
            self.status.eta is None
        ):
            eta = left if left is None else round(left)
            self.status = replace(self.status, elapsed=elapsed, stalled=stalled, eta=eta)

    def _show_status(self, view: RunView | None) -> None:
        base_screen = self.base_screen
        if base_screen is None or not base_screen.alive:
            return
        self._shown_status = (known(view), self.status, self.screen_name)
        base_screen.show_status(view, self.status)
        key_states = (
            view.phase if view else None,
            bool(self.living),
            *(self.can(action) for action in self.actions.values() if action.footer),
        )
        if key_states != self._key_states:
            self._key_states = key_states
            base_screen.refresh_keys()

    def _report(self, view: RunView, words: str, severity: Severity) -> None:
        """By the bell, a desktop notification, and a toast where the screen does not show it itself."""
        is_shown = severity != "warning" and self.base_screen is not None and self.base_screen.reports(view)
        if not is_shown:  # no screen has a place for a stall
            self.show_toast(words, severity=severity)
        self._ring(words)

    def _ring(self, words: str) -> None:
        if self.settings.bell:
            self.bell()
        if self.settings.notify and self._driver is not None and not self.is_headless:
            self._driver.write(f"\x1b]9;medtui: {clean(words, 200)}\x07")

    def _warn(self, text: str) -> None:
        """From any thread."""
        self.call_later(self.show_toast, text, severity="warning")

    def show_toast(self, text: str, *, severity: Any = "information") -> None:
        """A short notification."""
        self.notify(text, severity=severity, timeout=8 if severity == "error" else 4)

    def notify(self, message: str, *, title: str = "", **options: Any) -> None:
        """Never markup."""
        super().notify(clean(message, 600), title=clean(title, 100), **(options | {"markup": False}))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Filters that every line of every widget passes before it is drawn."""
        return [*super().get_line_filters(), self._visible]

    def _poll_status(self) -> None:
        self._readings.start("status", self._read_status)

    def _read_status(self) -> StatusPolled:
        from medtui.console.shell.messages import poll_status

        run = self.view.run if self.view is not None else None
        return poll_status(self.workspace, self.engines.is_own, run, self._worked, self._shown_folder)

    def on_status_polled(self, message: StatusPolled) -> None:
        from medtui.machine.gpu import format_gpus

        self._gpus, self.living, self._worked = message.gpus, message.living, message.worked
        gpu = format_gpus(message.gpus)
        lock, word, living = message.lock, message.word, message.living
        prepares = word == "preparing" and message.worked is None and lock != OWN
        self.status = replace(self.status, lock=lock, word=word, prepares=prepares, gpu=gpu, living=living)
        if message.ended is not None:
            self.show_toast(message.ended.words, severity="error" if message.ended.failed else "information")
            self._ring(message.ended.words)
        if self._is_removed(message.there, message.gone):
            self._forget_run()
        self._follow_work(message.newest_engine)

    @property
    def holding_work(self) -> str:
        """The suite or the queue that holds the workspace, and trained what is shown; "" where none does."""
        from medtui.suites.store import Store

        return Store(self.workspace, self._worked).owner if self._worked is not None and not self._reads else ""

    # ---- screens and keys ------------------------------------------------------------------------------------------

    @property
    def base_screen(self) -> BaseScreen | None:
        """The base screen that is shown, below any dialog."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, BaseScreen)), None)

    @property
    def screen_name(self) -> str:
        return self.base_screen.SCREEN_NAME if self.base_screen is not None else ""

    def _means_a_run(self, command: str) -> bool:
        if not self.may_change():
            return False
        if (screen := self.base_screen) is None:
            return True
        screen.follow_selected()
        words = screen.nothing_to(command)
        if words is not None:
            self.show_toast(words, severity="warning")
        return words is None

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

    def show_run(self, name: str) -> None:
        """Show a run in Results."""
        cast("Results", self.get_screen("results")).choose(name)
        self.go_to("results")

    def fetch(self, dataset: str, size: int) -> None:
        """Ask in Machine whether to fetch a file of a data set."""
        self.go_to("machine")
        self.call_later(cast("Machine", self.get_screen("machine")).ask_fetch, dataset, size)

    def open_recipe(self, path: Path) -> None:
        """Show a recipe in Recipes."""
        self._recipes.open_path(path)
        self.go_to("recipes")

    def can(self, action: Action) -> bool:
        offered = self.base_screen is None or self.base_screen.offers(action)
        return offered and not (action.changes and self.readonly) and self._is_possible(action)

    def _is_possible(self, action: Action) -> bool:
        return keymap.possible(
            action,
            self.view,
            busy=self.busy,
            trains_here=self.engines.trains_here,
            others=self.next_living is not None,
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

    def action_kill_switch(self, command: str, of_selected: bool = True) -> None:
        """`of_selected`: not where the selected run has nothing to end; the kill switch's own key always opens it."""
        from medtui.console.kill_switch.screen import KillSwitch

        if isinstance(self.screen, KillSwitch) or (not of_selected and not self.may_change()):
            return
        if not of_selected or self._means_a_run(command):
            self.push_screen(KillSwitch(command))

    def action_command_palette(self) -> None:
        below = any(isinstance(screen, CommandPalette) for screen in self.screen_stack)  # the kill switch
        if not below and not isinstance(self.screen, Dialog):
            self.push_screen(CommandPalette(placeholder="Actions, recipes, runs, data sets, settings …"))

    def action_help(self) -> None:
        self.push_screen(Help(self.screen_name, self.actions))

    def action_theme(self) -> None:
        self.choose_setting("theme", "light" if self.settings.theme == "dark" else "dark")

    def choose_setting(self, name: str, value: object) -> None:
        """Change a setting for this console and the next ones; the settings file stays as it is."""
        self.settings = replace(self.settings, **{name: value})  # type: ignore[arg-type]
        self.theme = THEMES[self.settings.theme].name
        keep_setting(self.preferences, name, getattr(self._given_settings, name), value)

    @work
    async def action_leave(self) -> None:
        """Quit; ask first where something would be lost or continues."""
        if self._leaving:
            return
        from medtui.console.quit_questions import describe_left_run, may_leave

        self._leaving = True
        try:
            if await may_leave(self, self._recipes.open_recipes):
                left = describe_left_run(self.view)
                self.exit(0, message=Text(left) if left else None)
        finally:
            self._leaving = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of unavailable actions do nothing; those of a read-only console, or of a list of runs, say why."""
        shared = {"kill_switch": "run.stop", "pause": "run.pause", "checkpoint": "run.checkpoint"}
        if action not in shared or self._is_possible(self.actions[shared[action]]):
            return True
        return self.base_screen is not None and not self.base_screen.offers(self.actions[shared[action]])

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
