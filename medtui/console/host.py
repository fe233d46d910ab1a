"""What screens and widgets may ask of the app that they live in. They know this face of it, not the app itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget

from medtui.actions import Action
from medtui.console.status_text import Around

if TYPE_CHECKING:
    from engine.contract.recipe import Recipe
    from engine.contract.run_directory import RunDirectory
    from engine.contract.workspace import Workspace
    from medtui.client.climb import Climb
    from medtui.client.view import RunView
    from medtui.client.watch import Watched


class Host(Protocol):
    workspace: Workspace
    data: list[str]  # folders of data set files, given with --data
    readonly: bool
    actions: dict[str, Action]  # with the user's keys
    around: Around
    today: Callable[[], date]

    @property
    def recipe_model(self) -> type[Recipe]: ...

    @property
    def watched(self) -> Watched | None: ...

    @property
    def view(self) -> RunView | None: ...

    @property
    def is_running(self) -> bool: ...

    @property
    def busy(self) -> bool: ...

    @property
    def room_name(self) -> str: ...

    @property
    def size(self) -> Size: ...

    async def push_screen_wait(self, screen: Screen[str | None]) -> str | None: ...

    def can(self, action: Action) -> bool: ...

    async def do(self, action: Action) -> None: ...

    def say(self, text: str, *, severity: Any = "information") -> None: ...

    @property
    def climb(self) -> Climb | None: ...

    def command(self, name: str) -> None: ...

    def end_run(self) -> None: ...

    def start_run(self, recipe: dict[str, Any]) -> str | None: ...

    def run_chosen(self) -> None: ...

    def resume_run(self, run: RunDirectory) -> str | None: ...

    def attach_to(self, name: str) -> bool: ...

    def go_to(self, room: str) -> None: ...

    @property
    def chosen_recipe(self) -> Recipe | None: ...

    def open_recipe(self, path: Path) -> None: ...


def host_of(node: Widget | Screen[Any]) -> Host:
    return cast(Host, node.app)
