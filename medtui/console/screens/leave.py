"""Leaving the console: asked first where something would be lost or goes on."""

from __future__ import annotations

import asyncio
import time

from medtui.client.view import RunView
from medtui.client.watch import Watched
from medtui.console.engines import who
from medtui.console.host import Host
from medtui.console.recipe_desk import Desk
from medtui.console.screens.dialogs import Question
from medtui.text import clean

PATIENCE = 3.0  # seconds to wait for the answer to a stop before leaving


async def may_leave(host: Host, desk: Desk) -> bool:
    """Ask what becomes of unsaved edits and of the run, and see to it. False: stay, and nothing was thrown away."""
    edits = await host.push_screen_wait(ask_unsaved(names)) if (names := desk.unsaved) else "leave"
    if edits not in ("leave", "discard") or not await _may_leave_run(host):
        return False
    if edits == "discard":
        desk.discard_all()
    try:
        desk.keep_drafts()
    except (OSError, ValueError) as error:
        host.say(f"Unsaved edits cannot be kept as a draft, so this stays open: {error}", severity="error")
        return False
    return True


async def _may_leave_run(host: Host) -> bool:
    while (view := host.view) is not None and view.active and view.own:
        answer = await host.push_screen_wait(ask_run(view))
        if answer == "stop" and host.watched is not None:
            await _stop_and_wait(host.watched)
            return True
        if answer != "leave":
            return False
        now = host.view
        if now is None or (now.state.started is None) == (view.state.started is None):
            return True
        # it began to train while the question stood there: leaving means another thing now
    return True


def left_words(view: RunView | None) -> str:
    """For the shell, after leaving: what becomes of the run that was watched. Empty where nothing goes on."""
    if view is None or not view.active or view.run is None or (view.own and view.stops_when_left):
        return ""
    run = clean(view.run, 200)
    if view.requests and view.requests[-1].command in ("stop", "abort"):
        return f"{run} is asked to {view.requests[-1].command}: `medtui show last` has its results."
    if view.phase == "paused":
        return f"{run} is paused and holds the workspace: `medtui resume last` lets it go on."
    return f"{run} goes on: `medtui attach last` watches it again, `medtui stop last` ends it."


async def _stop_and_wait(watched: Watched) -> None:
    """Send stop and wait for the answer, not for the end: the engine finishes by itself."""
    request = watched.command("stop", who())
    deadline = time.monotonic() + PATIENCE
    while request and watched.view.answer(request) is None and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


def ask_unsaved(names: list[str]) -> Question:
    """What becomes of unsaved edits: stay, leave, discard."""
    words = f"Unsaved edits in {', '.join(clean(name, 40) for name in names[:4])}."
    answers = [("stay", "stay"), ("leave", "leave, keep them as drafts"), ("discard", "discard them")]
    return Question(words, answers)


def ask_run(view: RunView) -> Question:
    """What becomes of the run: stay, leave, stop."""
    if view.state.started is None:
        words = "A run is being prepared; leaving ends it, nothing is lost."
        return Question(words, [("stay", "stay"), ("leave", "leave, it ends")])
    leave = "leave, it stops then" if view.stops_when_left else "leave it running"
    answers = [("stay", "stay"), ("leave", leave), ("stop", "stop it")]
    return Question(f"A run is {view.word}.", answers)
