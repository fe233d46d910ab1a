"""The console's app: what all screens share. The engine, the lock, the keys; each screen does the rest itself."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual import work
from textual.binding import BindingType
from textual.command import CommandPalette
from textual.screen import Screen

from engine.contract.errors import MedtuiError
from engine.contract.workspace import Workspace
from medtui.actions import EVERYWHERE, Action, with_keys
from medtui.console import keymap
from medtui.console.keyboard import Keyboard
from medtui.console.keys_in_order import KeysInOrder
from medtui.console.palette import KeymapCommands
from medtui.console.screens.all import SCREENS
from medtui.console.screens.dialogs import Help, Question
from medtui.console.screens.opening import Opening
from medtui.console.screens.room import Room
from medtui.console.status_text import UNKNOWN, Around, known
from medtui.console.theme import THEMES
from medtui.console.tidings import Link, News, Pace
from medtui.settings import Settings
from medtui.text import clean

if TYPE_CHECKING:
    from engine.contract.recipe import Recipe
    from engine.contract.run_directory import RunDirectory
    from medtui.client.climb import Climb
    from medtui.client.view import RunView
    from medtui.client.watch import OwnEngine, Watched
    from medtui.console.engines import Engines
    from medtui.console.messages import LookedAround
    from medtui.console.screens.recipes import Recipes


TICK = 0.1  # seconds between looks at the view
LOOK = 2.0  # seconds between looks at the lock


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
        """`attach`: a run to open with; `model` and `make_engine` are those of tests."""
        super().__init__(driver_class=Keyboard)
        self.workspace = workspace
        self.data = data or []
        self.settings = settings or Settings()
        self.readonly = readonly
        self._model, self._make_engine, self._keep_warm = model, make_engine, warm and not readonly
        self.today = date.today  # tests have a day of their own
        self.around = Around(lock=UNKNOWN, readonly=readonly)
        self._news, self._pace, self._link = News(), Pace(), Link(TICK)
        self._shown: RunView | None = None
        self._could: tuple[object, ...] = ()  # what the line of keys was made of
        self._said: tuple[Any, Around | None, str] = (None, None, "")  # by the top line
        self._holder_run: str | None = None
        self._attach_first = attach
        self.actions = with_keys(self.settings.keys)

    # ---- start and end ---------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[self.settings.theme].name
        if self.settings.keys:
            self.set_keymap(self.settings.keys)
        self.push_screen(Opening())  # imports nothing that takes its time
        # of the app's own pump: that of the screen which is left could not wait for its end
        self.call_after_refresh(self.call_later, self._after_first_paint)

    async def _after_first_paint(self) -> None:
        first = "recipes" if self._attach_first is None else self._open_attached(self._attach_first)
        if isinstance(self.screen, Opening):
            await self.switch_screen(first)
        gc.freeze()  # what is there now stays
        gc.enable()
        self.set_interval(TICK, self._tick)
        self._look_around()
        self.set_interval(LOOK, self._look_around)
        self.set_timer(0.3, self.engines.warm_up)
        for warning in self.settings.warnings:
            self.say(warning, severity="warning")

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

    # ---- the run ---------------------------------------------------------------------------------------------------

    @cached_property
    def recipe_model(self) -> type[Recipe]:
        from engine.contract.recipe import Recipe

        return self._model or Recipe

    @cached_property
    def engines(self) -> Engines:
        from medtui.client.watch import OwnEngine
        from medtui.console.engines import Engines

        return Engines(self.workspace, self._make_engine or OwnEngine, keep_warm=self._keep_warm)

    @property
    def watched(self) -> Watched | None:
        return self.engines.watched

    @property
    def view(self) -> RunView | None:
        return self.engines.view

    @property
    def busy(self) -> bool:
        return self.engines.busy

    def start_run(self, recipe: dict[str, Any]) -> str | None:
        """Train. None when it was asked for; else why not."""
        return self._start(lambda: self.engines.train(recipe, self.data))

    def resume_run(self, run: RunDirectory) -> str | None:
        """Go on with a run. None when it was asked for; else why not."""
        return self._start(lambda: self.engines.resume(run, self.data))

    def _start(self, ask: Callable[[], None]) -> str | None:
        if self.readonly:
            return "This console is read only."
        if self.engines.trains_here:
            return "This console trains already; stop that run first."
        if (holder := self.engines.held_by_another()) is not None:  # what is watched stays watched
            return f"The workspace is held by {holder}. {self.actions['run.attach'].key} watches its run."
        try:
            ask()
        except MedtuiError as error:
            return str(error)
        self._begin()
        self.go_to("live")
        return None

    def _begin(self) -> None:
        """Another run is watched: nothing of it is told yet."""
        self._news, self._pace = News(), Pace()
        self._shown = None

    def command(self, name: str) -> None:
        """Send a command to the engine; its answer is an event."""
        if self.readonly:
            self.say("Read only: nothing can be changed.", severity="warning")
        elif self.watched is None or not self.busy:
            self.say("Nothing is training.", severity="warning")
        else:
            self._send(self.watched, name)
        self._tick()

    def _send(self, watched: Watched, name: str) -> None:
        from medtui.console.engines import who

        try:
            if watched.command(name, who()) is None:
                self.say("The engine does not listen any more.", severity="warning")
        except MedtuiError as error:
            self.say(str(error), severity="error")

    @property
    def climb(self) -> Climb | None:
        return self.engines.climb

    def end_run(self) -> None:
        """Climb the ladder; where no signal reaches the engine, ask it to abort and say who else can end it."""
        if self.readonly:
            self.say("Read only: nothing can be changed.", severity="warning")
            return
        from medtui.client.attached import AttachedRun
        from medtui.client.control import NothingToCommand, elsewhere

        try:
            self.engines.end_run()
        except NothingToCommand:
            self.command("abort")
            status = self.watched.status if isinstance(self.watched, AttachedRun) else None
            self.say((elsewhere(status) if status else None) or "Its engine is not known.", severity="warning")

    # ---- being told ------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        link = self._link.ticked(time.monotonic())
        if link != self.around.link:
            self.around = replace(self.around, link=link)
        view = self.view
        if view is not self._shown:
            self._shown = view
            self._tell(view)
            if self.room is not None:
                self.room.show(view)
            if view is not None:
                left = self._pace.left(view)
                self.around = replace(self.around, eta=left if left is None else round(left))
        if self._said != (known(view), self.around, self.room_name):
            self._say_top(view)

    def _say_top(self, view: RunView | None) -> None:
        room = self.room
        if room is None or not room.alive:
            return
        self._said = (known(view), self.around, self.room_name)
        room.say(view, self.around)
        could = (view.phase if view else None, *(self.can(action) for action in self.actions.values() if action.footer))
        if could != self._could:
            self._could = could
            room.refresh_keys()

    def _tell(self, view: RunView | None) -> None:
        """What is new, by the bell, a desktop notification, and a note where the screen does not say it itself."""
        if view is None:
            return
        for words, severity in self._news.of(view):
            if self.room is None or not self.room.tells(view):
                self.say(words, severity=severity)
            if self.settings.bell:
                self.bell()
            if self.settings.notify and self._driver is not None and not self.is_headless:
                self._driver.write(f"\x1b]9;medtui: {clean(words, 200)}\x07")
        if view.outcome is not None and view.own:
            self.engines.warm_up()

    def say(self, text: str, *, severity: Any = "information") -> None:
        """A short note; never markup."""
        self.notify(clean(text, 600), severity=severity, markup=False, timeout=8 if severity == "error" else 4)

    @work(thread=True, exclusive=True, exit_on_error=False, group="around")
    def _look_around(self) -> None:
        from medtui.console.messages import look_around

        run = self.view.run if self.view is not None else None
        self.post_message(look_around(self.workspace, self.engines.own_pid, run))

    def on_looked_around(self, message: LookedAround) -> None:
        self.around = replace(self.around, lock=message.lock, gpu=message.gpu)
        self._holder_run = message.holder_run
        if message.holder_run is not None and self.watched is None:
            self.attach_to(message.holder_run)

    # ---- rooms and keys --------------------------------------------------------------------------------------------

    @property
    def room(self) -> Room | None:
        """The room that is shown, below any dialog."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, Room)), None)

    @property
    def room_name(self) -> str:
        return self.room.ROOM if self.room is not None else ""

    def get_room(self, name: str) -> Room:
        room = self.get_screen(name)
        assert isinstance(room, Room)
        return room

    @property
    def _recipes(self) -> Recipes:
        return cast("Recipes", self.get_screen("recipes"))

    @property
    def chosen_recipe(self) -> Recipe | None:
        """What Recipes shows, where it is valid."""
        checked = self._recipes.checked
        return checked.recipe if checked is not None else None

    def run_chosen(self) -> None:
        """Train what Recipes shows; what keeps it from that is mended there."""
        if self.chosen_recipe is None:
            self.go_to("recipes")
        self._recipes.action_run()

    def go_to(self, room: str) -> None:
        """Show a room, once what is being done now is done."""
        self.call_later(self.action_room, room)

    def open_recipe(self, path: Path) -> None:
        """Show a recipe in Recipes."""
        self._recipes.open_path(path)
        self.go_to("recipes")

    def can(self, action: Action) -> bool:
        return keymap.possible(
            action, self.view, busy=self.busy, trains_here=self.engines.trains_here, readonly=self.readonly
        )

    async def do(self, action: Action) -> None:
        """An action of a widget is done by the one that has the focus, or holds it."""
        inside = self.focused.ancestors_with_self if self.focused is not None else ()
        widget = next((node for node in inside if action.scope in keymap.scopes_of(node.BINDINGS)), self.screen)
        await self.run_action(action.action, self if action.scope == EVERYWHERE else widget)

    async def action_room(self, name: str) -> None:
        if len(self.screen_stack) > 2:  # a dialog is open
            return
        if self.room_name != name:
            self.get_room(name).say(self.view, self.around)  # before it is seen: what it said last is old
            await self.switch_screen(name)
        room = self.room
        if room is not None:
            self._could = ()
            room.show(self.view)
            self._say_top(self.view)

    def action_pause(self) -> None:
        view = self.view
        self.command("resume" if view is not None and view.phase == "paused" else "pause")

    def action_checkpoint(self) -> None:
        self.command("checkpoint")

    def action_ladder(self, command: str) -> None:
        from medtui.console.screens.ladder import Ladder

        if isinstance(self.screen, Ladder):
            return
        self.push_screen(Ladder(command))

    def action_attach(self) -> None:
        from engine.contract.run_directory import list_runs

        runs = list_runs(self.workspace.outputs)
        word = self._holder_run or (runs[-1].name if runs else None)
        if word is None:
            self.say("There is no run to attach to yet.", severity="warning")
        elif self.attach_to(word):
            self.go_to("live")

    def attach_to(self, name: str) -> bool:
        """Watch a run of this workspace. False when that cannot be."""
        if self.busy and self.view is not None and self.view.run == name:
            return True
        if self.engines.trains_here:
            self.say("This console watches its own run; stop it or open another console.", severity="warning")
            return False
        from engine.contract.run_directory import RunDirectory

        run = RunDirectory(self.workspace.outputs / name)
        if not run.journal.exists():
            self.say(f"Expected a run at {run.root}, found none.", severity="warning")
            return False
        self.engines.attach(run)
        self._begin()
        self.say(f"Watching {name}.")
        return True

    def _open_attached(self, run: RunDirectory) -> str:
        """Watch a run; the room that shows it: a living one in Live, a finished one in Results."""
        from engine.contract.status import read_status

        self.attach_to(run.name)
        status = read_status(run)
        if status is None or status.outcome is None:
            return "live"
        from medtui.console.screens.results import Results

        results = self.get_room("results")
        assert isinstance(results, Results)
        results.choose(run.name)
        return "results"

    def action_command_palette(self) -> None:
        if not any(isinstance(screen, CommandPalette) for screen in self.screen_stack):  # below the kill-switch, too
            super().action_command_palette()

    def action_help(self) -> None:
        self.push_screen(Help(self.room_name, self.actions))

    def action_theme(self) -> None:
        self.theme = THEMES["light" if self.theme == THEMES["dark"].name else "dark"].name

    @work
    async def action_leave(self) -> None:
        """Leave; ask first where something would be lost or goes on."""
        if isinstance(self.screen, Question):
            return
        from medtui.console.screens.leave import left_words, may_leave

        if await may_leave(self, self._recipes.desk):
            left = left_words(self.view)
            self.exit(0, message=Text(left) if left else None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of what cannot be done now do nothing."""
        shared = {"ladder": "run.stop", "pause": "run.pause", "checkpoint": "run.checkpoint"}
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
    folders = [str(data.resolve())] if data is not None else []
    return ConsoleApp(workspace, data=folders, settings=settings, readonly=readonly, attach=attach)
