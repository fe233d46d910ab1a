"""Actions in the palette: every action of the registry that is available now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from medtui.actions import EVERYWHERE, Action
from medtui.console.palette.matching import highlighted, quick, score_of
from medtui.console.shell.app_context import context_of
from medtui.console.shell.keymap import scopes_of
from medtui.console.shell.plain import plain_markup


class KeymapCommands(Provider):
    @property
    def _now(self) -> list[Action]:
        context = context_of(self.screen)
        inside = self.focused.ancestors_with_self if self.focused is not None else ()
        scopes = {context.screen_name, EVERYWHERE}.union(*(scopes_of(node.BINDINGS) for node in inside))
        return [action for action in context.actions.values() if action.scope in scopes and context.can(action)]

    def _hit(self, action: Action) -> Callable[[], Any]:
        context = context_of(self.screen)
        return lambda: self.app.call_later(context.do, action)

    async def discover(self) -> Hits:
        for action in self._now:
            yield DiscoveryHit(Text(action.title), self._hit(action), help=_help(action))

    async def search(self, query: str) -> Hits:
        matcher = quick(self.matcher(query))
        for action in self._now:
            if (score := score_of(matcher, action.title, action.help)) > 0:
                yield Hit(score, highlighted(matcher, action.title), self._hit(action), action.title, _help(action))


def _help(action: Action) -> str:
    """Textual accepts only markup here."""
    return plain_markup(f"{action.key}  {action.help}")
