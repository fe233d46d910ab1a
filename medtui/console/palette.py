"""The command palette: every action of the registry that can be done now, where the focus is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.text import Text
from textual.app import App
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode

from medtui.console.host import host_of
from medtui.console.keymap import EVERYWHERE, Action


class KeymapCommands(Provider):
    def _now(self) -> list[tuple[Action, DOMNode]]:
        """Actions and whose they are: those of the screen first, then those of the focus, then those of all screens.

        What is typed into a field does not count: there the palette is the way to the keys that are letters.
        """
        host = host_of(self.screen)
        found: dict[str, tuple[Action, DOMNode]] = {}
        for node in (self.focused or self.screen).ancestors_with_self:
            if isinstance(node, App) and self.screen.is_modal:
                break
            for binding in node.BINDINGS:
                action = host.actions.get(getattr(binding, "id", None) or "")
                if action is not None and action.id != "view.palette" and host.can(action):
                    found.setdefault(action.id, (action, node))
        return sorted(found.values(), key=lambda one: (one[0].scope == EVERYWHERE, one[0].scope != host.room_name))

    def _hit(self, action: Action, node: DOMNode) -> Callable[[], Any]:
        return lambda: self.app.call_later(self.app.run_action, action.action, node)

    async def discover(self) -> Hits:
        for action, node in self._now():
            yield DiscoveryHit(Text(action.title), self._hit(action, node), help=f"{action.key}  {action.help}")

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action, node in self._now():
            score = max(matcher.match(action.title), matcher.match(action.help))
            if score > 0:
                yield Hit(score, Text(action.title), self._hit(action, node), help=f"{action.key}  {action.help}")
