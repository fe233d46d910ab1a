"""Quitting the console: asks first where something would be lost or continues."""

from __future__ import annotations

import asyncio
import time

from medtui.client.run_handle import RunHandle
from medtui.client.view import RunView
from medtui.console.recipes.open_recipes import OpenRecipes
from medtui.console.shell.app_context import AppContext
from medtui.console.shell.dialogs import Answer, Question
from medtui.console.shell.engines import who
from medtui.text import clean

PATIENCE = 3.0  # seconds to wait for the answer to a stop before leaving


async def may_leave(context: AppContext, open_recipes: OpenRecipes) -> bool:
    """Ask what to do with unsaved edits and the run, and do it. False: stay, and nothing was discarded."""
    edits = await context.push_screen_wait(ask_unsaved(names)) if (names := open_recipes.unsaved) else "leave"
    if edits not in ("leave", "discard") or not await _may_leave_run(context):
        return False
    if edits == "discard":
        open_recipes.discard_all()
    try:
        open_recipes.keep_drafts()
    except (OSError, ValueError) as error:
        context.show_toast(
            f"Unsaved edits could not be saved as drafts, so the console stays open: {error}", severity="error"
        )
        return False
    return True


async def _may_leave_run(context: AppContext) -> bool:
    while (view := context.view) is not None and view.active and view.own:
        answer = await context.push_screen_wait(ask_run(view))
        if answer == "stop" and context.handle is not None:
            await _stop_and_wait(context.handle)
            return True
        if answer != "leave":
            return False
        now = context.view
        if now is None or (now.state.started is None) == (view.state.started is None):
            return True
        # it began to train while the question was open: quitting means something else now
    return True


def describe_left_run(view: RunView | None) -> str:
    """For the shell, after quitting: what happens to the run. Empty where nothing continues."""
    if view is None or not view.active or view.run is None or (view.own and view.stops_when_left):
        return ""
    run = clean(view.run, 200)
    if view.requests and view.requests[-1].command in ("stop", "abort"):
        return f"{run} was asked to {view.requests[-1].command}: `medtui show last` shows its results."
    if view.phase == "paused":
        return f"{run} is paused and holds the workspace: `medtui resume last` continues it."
    return f"{run} continues: `medtui attach last` attaches to it, `medtui stop last` stops it."


async def _stop_and_wait(handle: RunHandle) -> None:
    """Send stop and wait for the answer, not for the end: the engine finishes on its own."""
    request = handle.command("stop", who())
    deadline = time.monotonic() + PATIENCE
    while request and handle.view.answer(request) is None and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


def ask_unsaved(names: list[str]) -> Question:
    """What to do with unsaved edits: stay, leave, discard."""
    words = f"Unsaved edits in {', '.join(clean(name, 40) for name in names[:4])}."
    answers: list[Answer] = [
        ("stay", "stay"),
        ("leave", "quit, keep drafts"),
        ("discard", "quit, discard them", "dialog.discard"),
    ]
    return Question(words, answers, likely="leave")


def ask_run(view: RunView) -> Question:
    """What to do with the run: stay, leave, stop."""
    if view.state.started is None:
        words = "A run is being prepared. Quitting ends it; nothing is lost."
        return Question(words, [("stay", "stay"), ("leave", "quit, end it")])
    leave = "quit, the run stops" if view.stops_when_left else "quit, leave it running"
    answers: list[Answer] = [("stay", "stay"), ("leave", leave), ("stop", "stop it, then quit", "dialog.stop")]
    return Question(f"A run is {view.status_label}.", answers, likely="stay" if view.stops_when_left else "leave")
