"""Leaving the console: asked first where something would be lost or goes on."""

from __future__ import annotations

from medtui.client.view import RunView
from medtui.console.screens.dialogs import Question
from medtui.text import clean


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
