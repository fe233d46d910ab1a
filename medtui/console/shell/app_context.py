"""What screens and widgets may use of the app. They know this interface, not the app itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget

from medtui.actions import Action
from medtui.console.graphics.gallery import Gallery
from medtui.console.shell.marked_runs import MarkedRuns
from medtui.console.shell.status_text import AppStatus

if TYPE_CHECKING:
    from engine.contract.recipe.recipe import Recipe
    from engine.contract.store.run_directory import RunDirectory
    from engine.contract.store.workspace import Workspace
    from medtui.client.escalation import Escalator
    from medtui.client.run_handle import RunHandle
    from medtui.client.view import RunView
    from medtui.console.shell.load_history import LoadHistory
    from medtui.preferences import Preferences
    from medtui.settings import Settings


class AppContext(Protocol):
    workspace: Workspace
    data: list[str]  # folders of data set files, given with --data
    readonly: bool
    marked_runs: MarkedRuns  # in Results; drawn over the run in Live
    actions: dict[str, Action]  # with the user's keys
    status: AppStatus
    today: Callable[[], date]
    load_history: LoadHistory
    gallery: Gallery  # the pictures of all widgets
    preferences: Preferences  # what keys chose
    settings: Settings

    @property
    def recipe_model(self) -> type[Recipe]: ...

    @property
    def handle(self) -> RunHandle | None: ...

    @property
    def view(self) -> RunView | None: ...

    @property
    def is_running(self) -> bool: ...

    @property
    def busy(self) -> bool: ...

    @property
    def screen_name(self) -> str: ...

    @property
    def size(self) -> Size: ...

    async def push_screen_wait(self, screen: Screen[str | None]) -> str | None: ...

    def can(self, action: Action) -> bool: ...

    def may_change(self) -> bool: ...

    async def do(self, action: Action) -> None: ...

    def show_toast(self, text: str, *, severity: Any = "information") -> None: ...

    @property
    def escalator(self) -> Escalator | None: ...

    def command(self, name: str) -> None: ...

    def end_run(self) -> None: ...

    def start_run(self, recipe: dict[str, Any]) -> None: ...

    def run_chosen(self) -> None: ...

    def resume_run(self, run: RunDirectory) -> None: ...

    def attach_to(self, name: str, *, quiet: bool = False) -> bool: ...

    @property
    def living(self) -> tuple[str, ...]: ...

    @property
    def next_living(self) -> str | None: ...

    def go_to(self, screen: str) -> None: ...

    def show_run(self, name: str) -> None: ...

    @property
    def holder_run(self) -> str | None: ...

    @property
    def holding_work(self) -> str: ...

    def choose_setting(self, name: str, value: object) -> None: ...

    def fetch(self, dataset: str, size: int) -> None: ...

    @property
    def chosen_recipe(self) -> Recipe | None: ...

    def open_recipe(self, path: Path) -> None: ...


def context_of(node: Widget | Screen[Any]) -> AppContext:
    return cast(AppContext, node.app)


def key_of(widget: Widget | Screen[Any], id_: str) -> str:
    """The key of this action for this user, as a sentence names it."""
    return context_of(widget).actions[id_].key
