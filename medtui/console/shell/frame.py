"""What stands around every screen: the top line, the pane tabs of narrow terminals, the key line, the size notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from medtui.actions import EVERYWHERE, Action
from medtui.console.shell.app_context import context_of
from medtui.console.shell.status_text import CONNECTING, AppStatus, status_line, status_word

if TYPE_CHECKING:
    from medtui.client.view import RunView


OWN_KEYS = 6  # of a screen, that are worth more than the titles of the keys of all screens


class StatusLine(Widget):
    """One line, drawn again only when its text changed."""

    def __init__(self, view: RunView | None = None, status: AppStatus | None = None) -> None:
        """What its first frame shows: a screen that is opened while a run trains says so at once."""
        super().__init__()
        self._shown_status: tuple[RunView | None, AppStatus] = (view, status or AppStatus())
        self._text = Text()

    def show_status(self, view: RunView | None, status: AppStatus) -> None:
        self._shown_status = (view, status)
        text = status_line(view, status, self.size.width or 80)
        if text != self._text or text.spans != self._text.spans:
            self._text = text
            self.refresh()

    def on_resize(self) -> None:
        self.show_status(*self._shown_status)

    def render(self) -> Text:
        return self._text


class KeyLine(Widget):
    """The keys of this screen, as many as fit; each can be clicked."""

    def __init__(self, screen_name: str) -> None:
        super().__init__()
        self.screen_name = screen_name

    def render(self) -> Text:
        context = context_of(self)
        trains = context.busy or bool(context.living)
        shown = [one for one in context.actions.values() if one.footer and (trains or one.id != "recipes.queue")]
        actions = [_as_it_is(action, context.view) for action in shown]
        mine = [action for action in actions if action.scope == self.screen_name]
        everywhere = [action for action in actions if action.scope == EVERYWHERE]
        screens = [action for action in everywhere if action.id.startswith("go.")]
        kill = [action for action in everywhere if action.id.startswith("run.")]
        rest = [action for action in everywhere if action not in screens and action not in kill]
        return key_line([screens, mine, kill, rest], self.size.width, enabled=context.can)


class DialogKeys(Widget):
    """The keys of a dialog that has a scope of its own; each can be clicked."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def render(self) -> Text:
        context = context_of(self)
        mine = [action for action in context.actions.values() if action.scope == self.scope]
        return key_line([[], mine, [], []], self.size.width, enabled=context.can)


def _as_it_is(action: Action, view: RunView | None) -> Action:
    """Pause is resume while a run is paused."""
    paused = view is not None and view.active and view.phase == "paused"
    return replace(action, title="resume") if paused and action.id == "run.pause" else action


@dataclass(frozen=True)
class _Layout:
    """How much of the keys is shown."""

    own: int  # keys of the screen
    unavailable: bool = False  # also keys that do nothing now
    screens: bool = True  # names of the screens
    rest: bool = True  # titles of the keys of all screens
    short: bool = False  # the first word of a title


def _layouts(own: int) -> Iterator[_Layout]:
    """The richest first. In a tight line first unavailable keys go, then titles of keys of all screens, then the names
    of the screens, then the screen's own keys from the last, then all titles."""
    yield _Layout(own, unavailable=True)
    yield _Layout(own)
    yield _Layout(own, rest=False)
    for fewer in range(own, min(OWN_KEYS, own) - 1, -1):
        yield _Layout(fewer, screens=False, short=True)
    for fewer in range(own, -1, -1):
        yield _Layout(fewer, screens=False, rest=False, short=True)


def key_line(groups: list[list[Action]], width: int, enabled: Callable[[Action], bool]) -> Text:
    """Groups of keys in one line, as much as fits; never without a working kill key, nor help."""
    screens, mine, kill, rest = groups
    available = [action for action in mine if enabled(action)]
    line = Text()
    for layout in _layouts(len(mine)):
        line = Text(" ")
        own = mine if layout.unavailable else available[: layout.own]
        for group in (screens, own, kill, rest):
            shown = [action for action in group if layout.unavailable or enabled(action)]
            for action in shown:
                is_rest = group is rest and action.id != "view.help"
                bare = (group is screens and not layout.screens) or (is_rest and not layout.rest)
                _append_key(line, action, "" if bare else _title(action, short=layout.short), on=enabled(action))
            line.append(" " * bool(shown))
        if cell_len(line.plain.rstrip()) <= width:
            break
    line.truncate(width)
    return line


def _title(action: Action, *, short: bool) -> str:
    return action.title.split()[0] if short and len(action.title) > 7 else action.title


def _append_key(line: Text, action: Action, title: str, *, on: bool) -> None:
    click = Style(meta={"@click": _clicked(action)})
    line.append(action.key, Style(bold=True, dim=not on) + click)
    line.append(f" {title} " if title else " ", Style(dim=not on) + click)


def _clicked(action: Action) -> str:
    if action.action.startswith("screen."):
        return action.action
    return f"app.{action.action}" if action.scope == EVERYWHERE else f"screen.{action.action}"


class PaneTabs(Widget):
    """Below 80 columns one pane is shown; this line names it, and a click changes it."""

    def __init__(self, panes: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self.panes = panes
        self.current = 0

    def render(self) -> Text:
        line = Text()
        for number, (_, title) in enumerate(self.panes):
            style = Style(reverse=number == self.current, bold=number == self.current)
            short = title.partition(",")[0]
            line.append(f" {short} ", style + Style(meta={"@click": f"screen.show_pane({number})"}))
        actions = context_of(self).actions
        keys = f"  {actions['view.previous_pane'].key} {actions['view.next_pane'].key} other"
        if cell_len(line.plain) + cell_len(keys) <= self.size.width:
            line.append(keys, Style(dim=True))
        return line


class TooSmall(Widget):
    """Shown below 60 × 18 in place of the screen."""

    def __init__(self) -> None:
        super().__init__()
        self._word = CONNECTING

    def show_status(self, view: RunView | None, status: AppStatus) -> None:
        word = status_word(view, status)
        if word != self._word:
            self._word = word
            self.refresh()

    def render(self) -> Text:
        context = context_of(self)
        keys = "  ".join(
            f"{context.actions[id_].key} {_as_it_is(context.actions[id_], context.view).title}"
            for id_ in ("run.pause", "run.stop", "run.abort", "run.kill_switch")
        )
        size = context.size
        return Text(
            f"This terminal is {size.width} × {size.height}; medtui needs at least 60 × 18.\n\n"
            f"{self._word}\n\nThese keys still work:\n{keys}  {context.actions['view.leave'].key} quit"
        )
