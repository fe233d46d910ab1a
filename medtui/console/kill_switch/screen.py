"""The kill switch: what can be done to the run, each step with its state and elapsed time, and what comes next.

Works at 40 × 12.
"""

from __future__ import annotations

import time
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from medtui.client.escalation import Escalation, steps_taken
from medtui.client.escalation_steps import EscalationStep, end_steps, overdue, request_steps
from medtui.client.run_row import name_suffix
from medtui.client.view import Request, RunView
from medtui.console.kill_switch.text import (
    CHOICES,
    checkpoint_after,
    choices_text,
    end_text,
    fitting,
    is_over,
    settled,
    what_next,
)
from medtui.console.shell.app_context import context_of, key_of
from medtui.console.shell.base import SeeThrough
from medtui.console.shell.dialogs import Dialog
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Button, Static

OTHER_ROWS = 6  # of a small terminal: title and choices, buttons
OTHER_ROWS_AT_END = 2  # title, buttons
WIDTH = 64  # columns at most, as in the style sheet


class KillSwitch(SeeThrough, Dialog[None]):
    """Opened by its own key; what it does is confirmed by another. Cancel has the focus.

    Once the run is over and what it left is checked, it says so and what comes next: there is nothing more to choose.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings("kill_switch")
    AUTO_FOCUS = "#cancel"
    VERTICAL_BREAKPOINTS = [(0, "-small"), (18, "-roomy"), (24, "-high")]

    def __init__(self, command: str) -> None:
        super().__init__()
        self.chosen = next(number for number, (name, _) in enumerate(CHOICES) if name == command)
        self.request: Request | None = None
        self._escalating = False  # through every step
        self._over = False
        self._text = Text()

    def compose(self) -> ComposeResult:
        with Vertical(id="kill-switch"):
            yield Static(id="kill-switch-choices")
            with Horizontal(id="kill-switch-buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("", id="confirm", compact=True)
            yield Static(id="kill-switch-steps")

    def on_mount(self) -> None:
        """Closed and opened again, it shows what has been begun."""
        escalator, view = context_of(self).escalator, self._view
        if escalator is not None and not escalator.escalation.over:
            self.chosen, self._escalating = len(CHOICES) - 1, True
        elif view is not None and view.active and view.requests and view.requests[-1].command in ("stop", "abort"):
            self.request = view.requests[-1]
        self._redraw()
        self.set_interval(0.1, self._redraw)

    @property
    def _view(self) -> RunView | None:
        return context_of(self).view

    @property
    def _escalation(self) -> Escalation | None:
        """The one that is shown."""
        escalator = context_of(self).escalator
        return escalator.escalation if self._escalating and escalator is not None else None

    @property
    def _which(self) -> str:
        """The run; "" while it has none yet."""
        started = self._view.state.started if self._view is not None else None
        if started is None:
            return ""
        seed = f"seed {started.seed}" if started.seed is not None else ""
        return " · ".join(filter(None, (name_suffix(started.run), seed, started.model)))

    @property
    def _command(self) -> str:
        """The command of the chosen step; pause toggles."""
        name = CHOICES[self.chosen][0]
        view = self._view
        return "resume" if name == "pause" and view is not None and view.phase == "paused" else name

    def _redraw(self) -> None:
        view = self._view
        if is_over(view, self._escalation) != self._over:
            self._over = not self._over
            self.set_class(self._over, "-over")
            self.set_focus(self.query_one("#cancel"))
        found, advice = self._steps()
        what = end_text(view, found) if self._over else self._choices_text()
        if what != self._text:
            self._text = what
            self.query_one("#kill-switch-choices", Static).update(what)
        self._label_buttons()
        clocks = self.query_one("#kill-switch-steps", Static)
        clocks.display = bool(found)
        if found:
            clocks.update(fitting(found, advice, *self._available_size))

    def _choices_text(self) -> Text:
        return choices_text(self._view, self.chosen, self._command, self._which, self._available_size[0])

    def _label_buttons(self) -> None:
        confirm, cancel = self.query_one("#confirm", Button), self.query_one("#cancel", Button)
        label = self._label()
        if str(confirm.label) != label:
            confirm.label = Text(label)
            confirm.disabled = label == "over"
        begun = self.request is not None or self._escalating or self._over
        close = "Close" if begun else "Cancel"
        if str(cancel.label) != close:
            cancel.label = Text(close)

    @property
    def _available_size(self) -> tuple[int, int]:
        """Columns and rows for the steps: a small terminal's all, else within border and padding."""
        columns, rows = self.size.width, self.size.height - (OTHER_ROWS_AT_END if self._over else OTHER_ROWS)
        if self.has_class("-small"):
            return columns, rows
        return min(WIDTH, columns) - 4, rows - (5 if self.has_class("-high") else 2)

    def _label(self) -> str:
        """What the confirming key does now."""
        view, escalation, key = self._view, self._escalation, key_of(self, "kill_switch.confirm")
        if self._over:
            return f"{key} Results" if view is not None and view.run is not None else "over"
        if escalation is not None and not escalation.over and self._command == "kill":
            return f"{key} next step"
        return f"{key} {self._command}" if view is not None and view.active else "over"

    def _steps(self) -> tuple[list[EscalationStep], str | None]:
        """The steps to show, and what to do next or when they take too long."""
        view, escalation, context = self._view, self._escalation, context_of(self)
        if escalation is not None:
            found = steps_taken(escalation)
            if not self._over:
                return found, None
            checkpoint = checkpoint_after(escalation)
            return settled(found), what_next(view, checkpoint, context.actions, context.holding_work, killed=True)
        if view is None:
            return [], None
        if self._over:
            found = request_steps(view, self.request) if self.request is not None else end_steps(view)
            return settled(found), what_next(view, view.after.checkpoint, context.actions, context.holding_work)
        if self.request is None:
            return [], None
        return request_steps(view, self.request), overdue(view, self.request, time.time())

    def action_choose(self, by: int) -> None:
        self.chosen = (self.chosen + by) % len(CHOICES)
        self._redraw()

    def action_confirm(self) -> None:
        context = context_of(self)
        view = self._view
        if self._over and view is not None and view.run is not None:
            self.dismiss(None)
            context.show_run(view.run)
            return
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
        self._redraw()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "confirm":
            self.action_confirm()
        else:
            self.action_close()
