"""What the screens have in common: the frame, panes for narrow terminals, updates about the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from engine.contract.wire.errors import MedtuiError
from medtui.actions import Action
from medtui.console.shell.app_context import AppContext, context_of
from medtui.console.shell.frame import KeyLine, PaneTabs, StatusLine, TooSmall
from medtui.console.shell.garbage import SETTLED, keep_present_objects
from medtui.console.shell.plain import border_title
from medtui.console.shell.readings import Readings
from medtui.console.shell.status_text import AppStatus

if TYPE_CHECKING:
    from medtui.client.view import RunView


HORIZONTAL = [(0, "-tiny-width"), (60, "-narrow"), (80, "-stacked"), (120, "-wide")]  # columns
COMMANDS = {"run.pause": "pause", "run.stop": "stop", "run.abort": "abort", "run.checkpoint": "save"}  # to a run
VERTICAL = [(0, "-tiny-height"), (18, "-low"), (30, "-high")]  # rows


class SeeThrough:
    """A dialog that leaves the screen below it visible and updating."""


class BaseScreen(Screen[None]):
    """One of the screens. It stays as it is while another is shown: selection, scroll and input survive."""

    SCREEN_NAME: ClassVar[str] = ""
    PANES: ClassVar[tuple[tuple[str, str], ...]] = ()  # (id of the widget, title)
    HORIZONTAL_BREAKPOINTS = HORIZONTAL
    VERTICAL_BREAKPOINTS = VERTICAL
    AUTO_FOCUS = ""

    def __init__(self) -> None:
        super().__init__()
        self.readings = Readings(self)

    def compose(self) -> ComposeResult:
        yield StatusLine(self._app.view, self._app.status)
        yield PaneTabs(self.PANES)
        with Container(id="body"):
            yield from self.compose_body()
        yield TooSmall()
        yield KeyLine(self.SCREEN_NAME)

    def compose_body(self) -> ComposeResult:
        raise NotImplementedError

    ready = False  # every widget is there
    view: RunView | None = None  # what was shown last, or will be

    @property
    def _app(self) -> AppContext:
        return context_of(self)

    @property
    def alive(self) -> bool:
        """Are its widgets there: mounted, not yet removed?"""
        if not (self.ready and self.is_attached and self._app.is_running):
            return False
        return any(isinstance(child, StatusLine) for child in self.children)

    def on_mount(self) -> None:
        self.call_after_refresh(self._become_ready)

    async def _become_ready(self) -> None:
        if not self.query(KeyLine):
            return
        await self.complete()
        if not self.is_attached:
            return
        for id_, words in self.PANES:
            border_title(self.query_one(f"#{id_}"), words)
        self._mark_pane()
        self.ready = True
        self.set_up()
        self.set_timer(SETTLED, keep_present_objects)

    async def complete(self) -> None:
        """Add the widgets that the first frame can do without."""

    def set_up(self) -> None:
        """Every widget is there; called once."""

    async def carry_out(self, action: Callable[[], Awaitable[str | None]]) -> str | None:
        """Do what changes files, and show what it did, or why not.

        What it said, "" where that is nothing; None where this console may not, or it failed.
        """
        if not self._app.may_change():
            return None
        try:
            words = await action()
        except MedtuiError as error:
            self._app.show_toast(str(error), severity="error")
            return None
        if words:
            self._app.show_toast(words)
        return words or ""

    def show(self, view: RunView | None) -> None:
        """Something about the run changed."""
        self.view = view

    def follow_selected(self) -> None:
        """Before a command to the run that is shown: if another one is selected here, that is meant."""

    def nothing_to(self, command: str) -> str | None:
        """Why a command to a run, such as pause, does nothing to the selected one; None where it means a run."""
        return None

    def offers(self, action: Action) -> bool:
        """Does it do something to what is selected here?"""
        command = COMMANDS.get(action.id)
        return command is None or self.nothing_to(command) is None

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A worker that failed, perhaps on somebody else's file, is reported and ends nothing."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            self._app.show_toast(f"Internal error in the background: {type(error).__name__}: {error}", severity="error")

    def show_status(self, view: RunView | None, status: AppStatus) -> None:
        """Update the top line."""
        if self.alive:
            self.query_one(StatusLine).show_status(view, status)
            self.query_one(TooSmall).show_status(view, status)

    def refresh_keys(self) -> None:
        if not self.alive:
            return
        self.query_one(KeyLine).refresh()

    def reports(self, view: RunView) -> bool:
        """Does this screen itself show how a run ends, and its alarms? A toast would only cover that."""
        return False

    # ---- panes -----------------------------------------------------------------------------------------------------

    @property
    def current_pane(self) -> int:
        return self.query_one(PaneTabs).current

    def action_pane(self, by: int) -> None:
        self.action_show_pane((self._focused_pane() + by) % len(self.PANES))

    def action_show_pane(self, number: int) -> None:
        self.show_only(number)
        self.call_after_refresh(self._focus_in, self.PANES[self.current_pane][0])

    def show_only(self, number: int) -> None:
        """Which pane a narrow terminal shows."""
        tabs = self.query_one(PaneTabs)
        tabs.current = number % len(self.PANES)
        tabs.refresh()
        self._mark_pane()

    def _focused_pane(self) -> int:
        """The pane that has the focus, else the one that is shown."""
        if self.focused is not None and not self.has_class("-narrow"):
            ids = [id_ for id_, _ in self.PANES]
            for node in self.focused.ancestors_with_self:
                if isinstance(node, Widget) and node.id in ids:
                    return ids.index(node.id)
        return self.current_pane

    def _mark_pane(self) -> None:
        for number, (id_, _) in enumerate(self.PANES):
            self.query_one(f"#{id_}").set_class(number != self.current_pane, "-behind")

    def _focus_in(self, id_: str) -> None:
        pane = self.query_one(f"#{id_}")
        for widget in [pane, *pane.query("*")]:
            if isinstance(widget, Widget) and widget.focusable and widget.display:  # not a field that is closed
                widget.focus()
                return
        self.set_focus(None)

    def action_back(self) -> None:
        """Leave a field or a filter; never changes anything."""
        self.set_focus(None)
