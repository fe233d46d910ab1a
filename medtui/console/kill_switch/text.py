"""Texts of the kill switch: the choices, the steps with their clocks, how the run ended and what comes next. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import replace

from rich.text import Text

from medtui.actions import Action
from medtui.client.escalation import Escalation
from medtui.client.escalation_steps import EscalationStep
from medtui.client.view import RunView
from medtui.console.shell.status_text import CONNECTING, GLYPHS
from medtui.text import clean, shortened

CHOICES = (
    ("pause", "pause at the next batch"),
    ("stop", "end, evaluate, write results"),
    ("abort", "save a checkpoint, exit"),
    ("kill", "abort, SIGTERM, SIGKILL"),
)
_MARKS = {"done": ("✓", "green"), "waiting": ("…", "yellow"), "failed": ("✗", "bold red")}


def is_over(view: RunView | None, escalation: Escalation | None) -> bool:
    """Has the run ended, and was it checked what it left: process, lock, checkpoint? `escalation`: the one shown."""
    if escalation is not None:
        return escalation.over and escalation.gone is not None
    return view is not None and view.outcome is not None and view.after.checkpoint_checked is not None


def settled(steps: list[EscalationStep]) -> list[EscalationStep]:
    """The steps once the run is over: nothing is waited for any more."""
    return [replace(step, state="failed", note="not seen") if step.state == "waiting" else step for step in steps]


def end_text(view: RunView | None, steps: list[EscalationStep]) -> Text:
    """The title once the run is over: how it ended, and whether process, lock and checkpoint are as they should be."""
    word = (view.outcome if view is not None else None) or "ended"
    titles = [step.title for step in steps]
    left = steps[titles.index("process gone") :] if "process gone" in titles else steps
    good = all(step.state == "done" for step in left)
    text = Text(f"kill switch   {GLYPHS.get(word, '·')} {clean(word, 30)}: ", "bold")
    return text.append(*(("done", "bold green") if good else ("see what failed", "bold red")))


def checkpoint_after(escalation: Escalation) -> str:
    """What the escalation found: `verified`, `damaged` or `none`."""
    if not escalation.checkpoint_good:
        return "damaged"
    return "verified" if escalation.checkpoint_summary.startswith("checkpoint verified") else "none"


def what_next(
    view: RunView | None, checkpoint: str | None, actions: Mapping[str, Action], work: str = "", *, killed: bool = False
) -> str:
    """The next key, once the run is over. `checkpoint`: `verified`, `damaged` or `none`; None where it is not known.

    `work`: the suite or the queue that trained it and holds the workspace. `killed`: by what is shown.
    """
    if view is None or view.run is None:
        return "Nothing was kept: it had not begun to train."
    if view.outcome == "completed":
        return "Its scores are in Results."
    if work:
        return _next_of_work(view, clean(work, 60), actions["suites.retry"].key, killed=killed)
    resume = actions["results.resume"].key
    if view.outcome == "stopped":
        return f"Its scores are in Results, where {resume} resumes it."
    if checkpoint == "verified":
        return f"{resume} resumes it in Results."
    if checkpoint == "none":
        return f"It has no checkpoint: {resume} in Results starts it again."
    return f"{resume} in Results shows from where it can be resumed."


def _next_of_work(view: RunView, work: str, retry: str, *, killed: bool) -> str:
    """Nobody else can resume it while that holds the workspace; whom no one killed, it resumes itself."""
    if view.outcome == "crashed" and not killed:
        return f"The runner of {work} resumes it."
    scores = "Its scores are in Results; " if view.outcome == "stopped" else ""
    return f"{scores}{retry} retries it in Suites: {work} holds the workspace."


def choices_text(view: RunView | None, chosen: int, name: str, run: str = "", width: int = 80) -> Text:
    """`run`: which one."""
    word = view.status_label if view is not None else CONNECTING
    title = f"kill switch   {GLYPHS.get(word, '·')} {clean(word, 30)}"
    which = f"  {shortened(clean(run), max(8, width - len(title) - 2))}" if run else ""
    text = Text(f"{title}{which}\n", "bold")
    for number, (command, words) in enumerate(CHOICES):
        mark = "▸" if number == chosen else " "
        shown = name if number == chosen else command
        if command == "pause" and view is not None and view.active and view.phase == "paused":
            shown, words = "resume", "continue training"
        text.append(f"{mark} {shown:<7}", "bold" if number == chosen else "")
        text.append(words + ("\n" if number < len(CHOICES) - 1 else ""), "" if number == chosen else "dim")
    return text


def fitting(found: list[EscalationStep], advice: str | None, width: int, rows: int) -> Text:
    """The steps in so many rows: where it gets tight with notes of failures only, then without the first or last."""
    text = format_steps(found, advice, width)
    if _height(text) <= rows:
        return text
    waiting = next((at for at, step in enumerate(found) if step.state == "waiting"), len(found))
    for kept in range(len(found), 0, -1):
        first = max(0, min(waiting - min(2, kept - 1), len(found) - kept))
        text = format_steps(found[first : first + kept], advice, width, notes=False)
        if _height(text) <= rows:
            break
    return text


def _height(text: Text) -> int:
    return text.plain.count("\n") + 1


def format_steps(found: list[EscalationStep], advice: str | None, width: int, *, notes: bool = True) -> Text:
    text = Text()
    for step in found:
        mark, style = _MARKS[step.state]
        clock = f"{step.clock:6.1f} s" if step.clock is not None else ""
        text.append(f"{mark} ", style)
        text.append(f"{step.title:<23}{clock:>9}\n", "" if step.state != "waiting" else "dim")
        if step.note and (notes or step.state == "failed"):
            note = step.note if notes else shortened(step.note, width - 2)
            text.append(textwrap.indent(textwrap.fill(note, max(20, width - 2)), "  ") + "\n", "dim")
    if advice:
        text.append(textwrap.fill(advice, max(20, width)), "bold yellow")
    text.rstrip()
    return text
