"""The console's app: what all screens share. The engine, the lock, the keys; each screen does the rest itself."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App
from textual.binding import BindingType
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.screen import Screen
from textual.widget import Widget

from engine.contract.lock import is_locked, read_holder
from engine.contract.recipe import Recipe
from engine.contract.run_directory import RunDirectory, list_runs
from engine.contract.workspace import Workspace
from medtui.client.view import RunView
from medtui.client.watch import AttachedRun, OwnEngine, Watched
from medtui.console import keymap
from medtui.console.keymap import EVERYWHERE, Action
from medtui.console.messages import LookedAround
from medtui.console.screens.dialogs import Help, Question
from medtui.console.screens.ladder import Ladder
from medtui.console.screens.room import Room
from medtui.console.status_text import Around, lock_words
from medtui.console.theme import THEMES
from medtui.machine.gpu import gpu_words
from medtui.progress import Eta
from medtui.settings import Settings
from medtui.text import clean

TICK = 0.1  # seconds between looks at the view
LOOK = 2.0  # seconds between looks at the lock
BEHIND = 2.0  # seconds that a tick may be late before it is said
LEAVE_PATIENCE = 3.0  # seconds to wait for the answer to a stop before leaving


class KeymapCommands(Provider):
    """The palette: everything in the registry that can be done now."""

    @property
    def _now(self) -> list[Action]:
        app = console_of(self.screen)
        room = app.room_name
        return [a for a in app.actions.values() if a.scope in (room, EVERYWHERE) and app.can(a)]

    def _hit(self, action: Action) -> Callable[[], Any]:
        app = console_of(self.screen)
        return lambda: app.call_later(app.do, action)

    async def discover(self) -> Hits:
        for action in self._now:
            yield DiscoveryHit(Text(action.title), self._hit(action), help=f"{action.key}  {action.help}")

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action in self._now:
            score = max(matcher.match(action.title), matcher.match(action.help))
            if score > 0:
                yield Hit(score, Text(action.title), self._hit(action), help=f"{action.key}  {action.help}")


class ConsoleApp(App[int], inherit_bindings=False):
    """`medtui` without a command."""

    CSS_PATH = "styles.tcss"
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
        model: type[Recipe] = Recipe,
        make_engine: Callable[[ConsoleApp], OwnEngine] | None = None,
        warm: bool = True,
    ) -> None:
        super().__init__()
        self.workspace = workspace
        self.data = data or []
        self.settings = settings or Settings()
        self.readonly = readonly
        self.recipe_model = model
        self.watched: Watched | None = None
        self.today = date.today  # tests have a day of their own
        self.around = Around(readonly=readonly)
        self._keep_warm = warm and not readonly
        self._make_engine = make_engine or (lambda app: OwnEngine(app.workspace))
        self._warm: OwnEngine | None = None
        self._eta = Eta()
        self._eta_of: tuple[str | None, int] = (None, -1)
        self._last_tick = 0.0
        self._shown: RunView | None = None
        self._told: set[str] = set()
        self._could: tuple[bool, ...] = ()
        self._holder_run: str | None = None
        self._attached_at_start = False
        wanted, self.actions, self.key_warnings = keymap.remapped(self.settings.keys)
        self._wanted_keys = wanted

    # ---- start and end ---------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[self.settings.theme].name
        if self._wanted_keys:
            self.set_keymap(self._wanted_keys)
        self.push_screen("recipes")
        self.set_interval(TICK, self._tick)
        self.call_after_refresh(self._after_first_paint)

    def _after_first_paint(self) -> None:
        self._look_around()
        self.set_interval(LOOK, self._look_around)
        if self._keep_warm:
            self.set_timer(0.3, self._warm_up)
        for warning in (*self.settings.warnings, *self.key_warnings):
            self.say(warning, severity="warning")

    def get_default_screen(self) -> Screen[Any]:
        return Screen(id="_default")

    def _warm_up(self) -> None:
        """Start an engine while the user still reads the recipe."""
        if self._keep_warm and (self._warm is None or not self._warm.usable):
            self._warm = self._make_engine(self)

    def call_from_signal(self) -> None:
        """Leave at once; unsaved edits stay as drafts. May be called from a signal handler."""
        loop = self._loop
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(self.exit, 0)

    def on_unmount(self) -> None:
        for watched in (self._warm, self.watched):
            if watched is not None:
                watched.close()

    # ---- the run ---------------------------------------------------------------------------------------------------

    @property
    def view(self) -> RunView | None:
        return self.watched.view if self.watched is not None else None

    def forget_shown(self) -> None:
        """Show the next view to the room even if it is the one that another room has seen."""
        self._shown = None

    @property
    def busy(self) -> bool:
        return self.view is not None and self.view.active

    def start_run(self, recipe: dict[str, Any]) -> str | None:
        """Train. None when it was asked for; else why not."""
        if self.readonly:
            return "This console is read only."
        if self.busy and self.view is not None and self.view.own:
            return "This console trains already; stop that run first."
        if self._warm is None or not self._warm.usable:
            self._warm = self._make_engine(self)
        engine, self._warm = self._warm, None
        self._watch(engine)
        engine.start(recipe, self.data, ["medtui", *sys.argv[1:]], f"console {os.getpid()}")
        self.call_later(self.action_room, "live")
        return None

    def attach(self, run: RunDirectory) -> None:
        self._watch(AttachedRun(run, self.workspace))

    def _watch(self, watched: Watched) -> None:
        if self.watched is not None:
            self.watched.close()
        self.watched = watched
        self._eta, self._eta_of = Eta(), (None, -1)
        self._shown = None
        self._told = set()

    def command(self, name: str) -> None:
        """Send a command to the engine; its answer is an event."""
        if self.readonly:
            self.say("Read only: nothing can be changed.", severity="warning")
        elif self.watched is None or not self.busy:
            self.say("Nothing is training.", severity="warning")
        else:
            self.watched.command(name, f"console {os.getpid()}")
        self._tick()

    # ---- being told ------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = time.monotonic()
        late = now - self._last_tick - TICK if self._last_tick else 0.0
        self._last_tick = now
        link = f"display {late:.0f} s behind, training unaffected" if late > BEHIND else "link ok"
        if link != self.around.link and (late > BEHIND or self._link_said_until < now):
            self.around = replace(self.around, link=link)
            self._link_said_until = now + 5.0
        view = self.view
        if view is not self._shown:
            self._shown = view
            self._tell(view)
            if isinstance(self.room, Room):
                self.room.show(view)
            if view is not None:
                self.around = replace(self.around, eta=self._left(view))
        self._say_top(view)

    _link_said_until = 0.0

    def _say_top(self, view: RunView | None) -> None:
        room = self.room
        if room is None or not room.is_mounted:
            return
        room.say(view, self.around)
        could = tuple(self.can(action) for action in self.actions.values() if action.footer)
        if could != self._could:
            self._could = could
            room.refresh_keys()

    def _left(self, view: RunView) -> float | None:
        """Seconds left; None before there is a pace. A resumed run's pace is its own."""
        progress, started = view.progress, view.state.started
        if progress is None or started is None or progress.step is None or view.phase != "training":
            if view.phase == "paused":
                self._eta = Eta()
            return None
        key = (started.run, started.attempt)
        if key != self._eta_of:
            self._eta, self._eta_of = Eta(), key
        return self._eta.after(progress.done, progress.total, progress.time)

    def _tell(self, view: RunView | None) -> None:
        """The end of a run, an alarm, an engine's death: once each, by bell and desktop notification."""
        if view is None:
            return
        if view.outcome is not None:
            what = view.died or f"Run {view.run or ''} {view.outcome}."
            finished = view.state.finished
            if finished is not None and finished.error is not None:
                what = f"{finished.error.message} {finished.error.hint}"
            bad = view.outcome in ("failed", "crashed")
            self._tell_once(f"end {view.outcome}", what, "error" if bad else "information")
            if self._keep_warm and view.own:
                self._warm_up()
        for message in view.state.messages[-5:]:
            if message.event == "alarm":
                self._tell_once(f"alarm {message.seq}", f"{message.message} {message.hint}", "error")

    def _tell_once(self, key: str, what: str, severity: Any) -> None:
        if key in self._told:
            return
        self._told.add(key)
        self.say(what, severity=severity)
        if self.settings.bell:
            self.bell()
        if self.settings.notify and self._driver is not None and not self.is_headless:
            self._driver.write(f"\x1b]9;medtui: {clean(what, 200)}\x07")

    def say(self, text: str, *, severity: Any = "information") -> None:
        """A short note; never markup."""
        self.notify(clean(text, 600), severity=severity, markup=False, timeout=8 if severity == "error" else 4)

    @work(thread=True, exclusive=True, group="around")
    def _look_around(self) -> None:
        locked = is_locked(self.workspace.lock_file)
        holder = read_holder(self.workspace.lock_file) if locked else None
        watched = self.watched
        own = watched.pid if isinstance(watched, OwnEngine) else None
        words = lock_words(locked, holder.pid if holder else None, own, holder.run if holder else None)
        around = Around(lock=words, gpu=gpu_words(), readonly=self.readonly)
        self.post_message(LookedAround(around, holder.run if holder else None))

    def on_looked_around(self, message: LookedAround) -> None:
        found = message.around
        self.around = replace(self.around, lock=found.lock, gpu=found.gpu)
        self._holder_run = message.holder_run
        if not self._attached_at_start:
            self._attached_at_start = True
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

    def can(self, action: Action) -> bool:
        """Can this be done now?"""
        if action.changes and self.readonly:
            return False
        if action.id in ("run.stop", "run.abort", "run.ladder"):
            return self.busy
        if action.id in ("run.pause", "run.checkpoint"):
            return (
                self.busy
                and self.view is not None
                and self.view.phase in ("starting", "preparing", "training", "paused", "idle")
            )
        return True

    async def do(self, action: Action) -> None:
        target = self if action.scope == EVERYWHERE else self.screen
        await self.run_action(action.action, target)

    async def action_room(self, name: str) -> None:
        if len(self.screen_stack) > 2:  # a dialog is open
            return
        if self.room_name != name:
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
        if isinstance(self.screen, Ladder):
            return
        self.push_screen(Ladder(command))

    def action_attach(self) -> None:
        runs = list_runs(self.workspace.outputs)
        word = self._holder_run or (runs[-1].name if runs else None)
        if word is None:
            self.say("There is no run to attach to yet.", severity="warning")
            return
        self.attach_to(word)

    def attach_to(self, name: str) -> bool:
        """Watch a run of this workspace. False when that cannot be."""
        if self.busy and self.view is not None and self.view.own:
            if self.view.run == name:
                return True
            self.say("This console watches its own run; stop it or open another console.", severity="warning")
            return False
        run = RunDirectory(self.workspace.outputs / name)
        if not run.journal.exists():
            self.say(f"Expected a run at {run.root}, found none.", severity="warning")
            return False
        self.attach(run)
        self.say(f"Watching {name}.")
        return True

    def action_help(self) -> None:
        self.push_screen(Help(self.room_name, self.actions))

    def action_theme(self) -> None:
        self.theme = THEMES["light" if self.theme == THEMES["dark"].name else "dark"].name

    @work
    async def action_leave(self) -> None:
        """Leave; ask first where something would be lost or goes on."""
        if isinstance(self.screen, Question):
            return
        from medtui.console.screens.recipes import Recipes

        recipes = self.get_screen("recipes")
        if isinstance(recipes, Recipes) and recipes.is_mounted and (names := recipes.unsaved):
            words = f"Unsaved edits in {', '.join(clean(name, 40) for name in names[:4])}."
            answers = [("stay", "stay"), ("leave", "leave, keep them as drafts"), ("discard", "discard them")]
            answer = await self.push_screen_wait(Question(words, answers))
            if answer == "discard":
                recipes.discard_all()
            elif answer != "leave":
                return
        view = self.view
        if view is not None and view.active and view.own and not await self._leave_run(view):
            return
        self.exit(0)

    async def _leave_run(self, view: RunView) -> bool:
        """Ask what becomes of the run; False is to stay."""
        early = view.state.started is None
        words = "A run is being prepared; leaving ends it, nothing is lost." if early else f"A run is {view.word}."
        answers = [("stay", "stay"), ("leave", "leave it running"), ("stop", "stop it")]
        if early:
            answers = [("stay", "stay"), ("leave", "leave, it ends")]
        answer = await self.push_screen_wait(Question(words, answers))
        if answer == "stop":
            await self._stop_and_wait()
        return answer in ("leave", "stop")

    async def _stop_and_wait(self) -> None:
        """Send stop and wait for the answer, not for the end: the engine finishes by itself."""
        import asyncio

        assert self.watched is not None
        request = self.watched.command("stop", f"console {os.getpid()}")
        deadline = time.monotonic() + LEAVE_PATIENCE
        while request and self.watched.view.answer(request) is None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of what cannot be done now do nothing."""
        if action == "ladder":
            return self.can(self.actions["run.stop"])
        if action == "pause":
            return self.can(self.actions["run.pause"])
        if action == "checkpoint":
            return self.can(self.actions["run.checkpoint"])
        return True

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[Any]:
        return ()


def console_of(node: Widget | Screen[Any]) -> ConsoleApp:
    app = node.app
    assert isinstance(app, ConsoleApp)
    return app


def _screens() -> dict[str, Callable[[], Screen[Any]]]:
    """Each imported when it is first shown."""

    def recipes() -> Room:
        from medtui.console.screens.recipes import Recipes

        return Recipes()

    def machine() -> Room:
        from medtui.console.screens.machine import Machine

        return Machine()

    def live() -> Room:
        from medtui.console.screens.live import Live

        return Live()

    def results() -> Room:
        from medtui.console.screens.results import Results

        return Results()

    return {"recipes": recipes, "machine": machine, "live": live, "results": results}


ConsoleApp.SCREENS = _screens()


def app_for(workspace: Workspace, data: Path | None, settings: Settings, *, readonly: bool) -> ConsoleApp:
    folders = [str(data.resolve())] if data is not None else []
    return ConsoleApp(workspace, data=folders, settings=settings, readonly=readonly)
