"""The kill switch: what can be done to the run, and each step with its state and elapsed time. Works at 40 × 12."""

from __future__ import annotations

import textwrap
import time
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from medtui.client.escalation import steps_taken
from medtui.client.escalation_steps import EscalationStep, overdue, request_steps
from medtui.client.view import Request, RunView
from medtui.console.shell.app_context import context_of
from medtui.console.shell.base import SeeThrough
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Button, Static
from medtui.console.shell.status_text import GLYPHS
from medtui.text import clean, shortened

CHOICES = (
    ("pause", "pause at the next batch"),
    ("stop", "end, evaluate, write results"),
    ("abort", "save a checkpoint, exit"),
    ("kill", "abort, SIGTERM, SIGKILL"),
)
OTHER_ROWS = 6  # of a small terminal: title and choices, buttons
WIDTH = 64  # columns at most, as in the style sheet
_MARKS = {"done": ("✓", "green"), "waiting": ("…", "yellow"), "failed": ("✗", "bold red")}


class KillSwitch(SeeThrough, ModalScreen[None]):
    """Opened by its own key; what it does is confirmed by another. Cancel has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("kill_switch")
    AUTO_FOCUS = "#cancel"
    VERTICAL_BREAKPOINTS = [(0, "-small"), (18, "-roomy"), (24, "-high")]

    def __init__(self, command: str) -> None:
        super().__init__()
        self.chosen = next(number for number, (name, _) in enumerate(CHOICES) if name == command)
        self.request: Request | None = None
        self._escalating = False  # through every step
        self._text = Text()

    def compose(self) -> ComposeResult:
        with Vertical(id="kill-switch"):
            yield Static(id="kill-switch-choices")
            with Horizontal(id="kill-switch-buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("", id="confirm", compact=True)
            yield Static(id="kill-switch-steps")

    def on_mount(self) -> None:
        escalator = context_of(self).escalator
        if escalator is not None and not escalator.escalation.over:  # closed and opened again
            self.chosen, self._escalating = len(CHOICES) - 1, True
        self._redraw()
        self.set_interval(0.1, self._redraw)

    @property
    def _view(self) -> RunView | None:
        return context_of(self).view

    @property
    def _command(self) -> str:
        """The command of the chosen step; pause toggles."""
        name = CHOICES[self.chosen][0]
        view = self._view
        return "resume" if name == "pause" and view is not None and view.phase == "paused" else name

    def _redraw(self) -> None:
        view = self._view
        what = choices_text(view, self.chosen, self._command)
        if what != self._text:
            self._text = what
            self.query_one("#kill-switch-choices", Static).update(what)
        confirm = self.query_one("#confirm", Button)
        label = self._label()
        if str(confirm.label) != label:
            confirm.label = Text(label)
            confirm.disabled = label == "over"
            asked = self.request is not None or self._escalating
            self.query_one("#cancel", Button).label = Text("Close" if asked else "Cancel")
        found, advice = self._steps()
        clocks = self.query_one("#kill-switch-steps", Static)
        clocks.display = bool(found)
        if found:
            clocks.update(fitting(found, advice, *self._available_size))

    @property
    def _available_size(self) -> tuple[int, int]:
        """Columns and rows for the steps: a small terminal's all, else within border and padding."""
        columns, rows = self.size.width, self.size.height - OTHER_ROWS
        if self.has_class("-small"):
            return columns, rows
        return min(WIDTH, columns) - 4, rows - (5 if self.has_class("-high") else 2)

    def _label(self) -> str:
        """What the confirming key does now."""
        view, escalator = self._view, context_of(self).escalator
        if self._escalating and escalator is not None and not escalator.escalation.over and self._command == "kill":
            return "y next step"
        return f"y {self._command}" if view is not None and view.active else "over"

    def _steps(self) -> tuple[list[EscalationStep], str | None]:
        """The steps to show, and what to do when they take too long."""
        view, escalator = self._view, context_of(self).escalator
        if self._escalating and escalator is not None:
            return steps_taken(escalator.escalation), None
        if view is None or self.request is None:
            return [], None
        return request_steps(view, self.request), overdue(view, self.request, time.time())

    def action_choose(self, by: int) -> None:
        self.chosen = (self.chosen + by) % len(CHOICES)
        self._redraw()

    def action_confirm(self) -> None:
        context = context_of(self)
        view = self._view
        if view is None or not view.active or context.handle is None or context.readonly:
            return
        if self._command == "kill":
            context.end_run()
            self._escalating = context.escalator is not None
            self._redraw()
            return
        self._escalating = False
        before = view.requests[-1].id if view.requests else None
        context.command(self._command)
        requests = context.handle.view.requests
        if requests and requests[-1].id != before:
            self.request = requests[-1]
            self.query_one("#cancel", Button).label = Text("Close")
        self._redraw()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "confirm":
            self.action_confirm()
        else:
            self.action_close()

    def action_close(self) -> None:
        self.dismiss(None)


def choices_text(view: RunView | None, chosen: int, name: str) -> Text:
    word = view.status_label if view is not None else "idle"
    text = Text(f"kill switch   {GLYPHS.get(word, '·')} {clean(word, 30)}\n", "bold")
    for number, (command, words) in enumerate(CHOICES):
        mark = "▸" if number == chosen else " "
        shown = name if number == chosen else command
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
