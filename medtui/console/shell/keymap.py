"""Actions in the console: their bindings, and which are available now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType

from medtui.actions import BY_ID, Action, of_scope

if TYPE_CHECKING:
    from medtui.client.view import RunView


STEERABLE = ("idle", "starting", "preparing", "training", "paused")  # phases of a run that can be held


def scopes_of(bound: Iterable[BindingType]) -> set[str]:
    """The scopes of a widget's bindings."""
    return {BY_ID[one.id].scope for one in bound if isinstance(one, Binding) and one.id in BY_ID}


def bindings(scope: str, *ids: str) -> list[BindingType]:
    """Textual's bindings of a scope; of these actions of it only, where some are named."""
    return [
        Binding(
            action.keys,
            action.action,
            action.title,
            show=False,
            id=action.id,
            priority=action.priority,
        )
        for action in of_scope(scope)
        if action.keys and (not ids or action.id in ids)
    ]


def possible(action: Action, view: RunView | None, *, busy: bool, trains_here: bool, others: bool = False) -> bool:
    """Is this available now, to whoever may change things?

    `busy`: the run shown is not over; `trains_here`: an engine of this console trains; `others`: so does a run that is
    not shown.
    """
    if action.id in ("run.stop", "run.abort", "run.kill_switch"):
        return busy
    if action.id in ("run.pause", "run.checkpoint"):
        return busy and view is not None and view.phase in STEERABLE
    if action.id == "live.next_run":
        return others
    if action.id == "live.run":
        return not trains_here
    return action.scope != "live" or (view is not None and view.asked_to_start)
