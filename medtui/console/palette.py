"""The command palette: everything in the registry of actions that can be done now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from medtui.actions import EVERYWHERE, Action
from medtui.console.host import host_of
from medtui.console.keymap import scopes_of


class KeymapCommands(Provider):
    @property
    def _now(self) -> list[Action]:
        host = host_of(self.screen)
        inside = self.focused.ancestors_with_self if self.focused is not None else ()
        scopes = {host.room_name, EVERYWHERE}.union(*(scopes_of(node.BINDINGS) for node in inside))
        return [action for action in host.actions.values() if action.scope in scopes and host.can(action)]

    def _hit(self, action: Action) -> Callable[[], Any]:
        host = host_of(self.screen)
        return lambda: self.app.call_later(host.do, action)

    async def discover(self) -> Hits:
        for action in self._now:
            yield DiscoveryHit(Text(action.title), self._hit(action), help=f"{action.key}  {action.help}")

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action in self._now:
            score = max(matcher.match(action.title), matcher.match(action.help))
            if score > 0:
                yield Hit(score, Text(action.title), self._hit(action), help=f"{action.key}  {action.help}")
