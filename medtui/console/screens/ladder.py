"""The kill-switch: what can be done to the run, and each rung with its state and clock. Works at 40 × 12."""

from __future__ import annotations

import textwrap
import time
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from medtui.client.climb import ascent_rungs
from medtui.client.ladder import Rung, overdue, rungs
from medtui.client.view import Request, RunView
from medtui.console.host import host_of
from medtui.console.keymap import bindings
from medtui.console.status_text import GLYPHS
from medtui.text import clean, shortened

CHOICES = (
    ("pause", "hold at the next batch"),
    ("stop", "end, evaluate, write all"),
    ("abort", "save a checkpoint, end"),
    ("kill", "abort, SIGTERM, SIGKILL"),
)
OTHER_ROWS = 6  # of a small terminal: title and choices, buttons
WIDTH = 64  # columns at most, as in the style sheet
_MARKS = {"done": ("✓", "green"), "waiting": ("…", "yellow"), "failed": ("✗", "bold red")}


class Ladder(ModalScreen[None]):
    """Opened by its own key; what it does is confirmed by another. Cancel has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("ladder")
    AUTO_FOCUS = "#cancel"
    VERTICAL_BREAKPOINTS = [(0, "-small"), (18, "-roomy"), (24, "-high")]

    def __init__(self, command: str) -> None:
        super().__init__()
        self.chosen = next(number for number, (name, _) in enumerate(CHOICES) if name == command)
        self.request: Request | None = None
        self._climbs = False  # the whole ladder is climbed
        self._text = Text()

    def compose(self) -> ComposeResult:
        with Vertical(id="ladder"):
            yield Static(id="ladder-what")
            with Horizontal(id="ladder-buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("", id="confirm", compact=True)
            yield Static(id="ladder-clocks")

    def on_mount(self) -> None:
        climb = host_of(self).climb
        if climb is not None and not climb.ascent.over:  # closed and opened again
            self.chosen, self._climbs = len(CHOICES) - 1, True
        self._draw()
        self.set_interval(0.1, self._draw)

    @property
    def _view(self) -> RunView | None:
        return host_of(self).view

    @property
    def _command(self) -> str:
        """The command of the chosen rung; pause toggles."""
        name = CHOICES[self.chosen][0]
        view = self._view
        return "resume" if name == "pause" and view is not None and view.phase == "paused" else name

    def _draw(self) -> None:
        view = self._view
        what = choices_text(view, self.chosen, self._command)
        if what != self._text:
            self._text = what
            self.query_one("#ladder-what", Static).update(what)
        confirm = self.query_one("#confirm", Button)
        label = self._label()
        if str(confirm.label) != label:
            confirm.label = Text(label)
            confirm.disabled = label == "over"
            asked = self.request is not None or self._climbs
            self.query_one("#cancel", Button).label = Text("Close" if asked else "Cancel")
        found, advice = self._rungs()
        clocks = self.query_one("#ladder-clocks", Static)
        clocks.display = bool(found)
        if found:
            clocks.update(fitting(found, advice, *self._room))

    @property
    def _room(self) -> tuple[int, int]:
        """Columns and rows for the rungs: a small terminal's all, else within border and padding."""
        columns, rows = self.size.width, self.size.height - OTHER_ROWS
        if self.has_class("-small"):
            return columns, rows
        return min(WIDTH, columns) - 4, rows - (5 if self.has_class("-high") else 2)

    def _label(self) -> str:
        """What the confirming key does now."""
        view, climb = self._view, host_of(self).climb
        if self._climbs and climb is not None and not climb.ascent.over and self._command == "kill":
            return "y next rung"
        return f"y {self._command}" if view is not None and view.active else "over"

    def _rungs(self) -> tuple[list[Rung], str | None]:
        """What is shown of what was asked for, and what to do when it takes too long."""
        view, climb = self._view, host_of(self).climb
        if self._climbs and climb is not None:
            return ascent_rungs(climb.ascent), None
        if view is None or self.request is None:
            return [], None
        return rungs(view, self.request), overdue(view, self.request, time.time())

    def action_choose(self, by: int) -> None:
        self.chosen = (self.chosen + by) % len(CHOICES)
        self._draw()

    def action_confirm(self) -> None:
        host = host_of(self)
        view = self._view
        if view is None or not view.active or host.watched is None or host.readonly:
            return
        if self._command == "kill":
            host.end_run()
            self._climbs = host.climb is not None
            self._draw()
            return
        self._climbs = False
        before = view.requests[-1].id if view.requests else None
        host.command(self._command)
        requests = host.watched.view.requests
        if requests and requests[-1].id != before:
            self.request = requests[-1]
            self.query_one("#cancel", Button).label = Text("Close")
        self._draw()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "confirm":
            self.action_confirm()
        else:
            self.action_close()

    def action_close(self) -> None:
        self.dismiss(None)


def choices_text(view: RunView | None, chosen: int, name: str) -> Text:
    word = view.word if view is not None else "idle"
    text = Text(f"kill-switch   {GLYPHS.get(word, '·')} {clean(word, 30)}\n", "bold")
    for number, (command, words) in enumerate(CHOICES):
        mark = "▸" if number == chosen else " "
        shown = name if number == chosen else command
        text.append(f"{mark} {shown:<7}", "bold" if number == chosen else "")
        text.append(words + ("\n" if number < len(CHOICES) - 1 else ""), "" if number == chosen else "dim")
    return text


def fitting(found: list[Rung], advice: str | None, width: int, rows: int) -> Text:
    """The rungs in so many rows: where it gets tight with notes of failures only, then without the first or last."""
    text = rungs_text(found, advice, width)
    if _height(text) <= rows:
        return text
    waiting = next((at for at, rung in enumerate(found) if rung.state == "waiting"), len(found))
    for kept in range(len(found), 0, -1):
        first = max(0, min(waiting - min(2, kept - 1), len(found) - kept))
        text = rungs_text(found[first : first + kept], advice, width, notes=False)
        if _height(text) <= rows:
            break
    return text


def _height(text: Text) -> int:
    return text.plain.count("\n") + 1


def rungs_text(found: list[Rung], advice: str | None, width: int, *, notes: bool = True) -> Text:
    text = Text()
    for rung in found:
        mark, style = _MARKS[rung.state]
        clock = f"{rung.clock:6.1f} s" if rung.clock is not None else ""
        text.append(f"{mark} ", style)
        text.append(f"{rung.title:<23}{clock:>9}\n", "" if rung.state != "waiting" else "dim")
        if rung.note and (notes or rung.state == "failed"):
            note = rung.note if notes else shortened(rung.note, width - 2)
            text.append(textwrap.indent(textwrap.fill(note, max(20, width - 2)), "  ") + "\n", "dim")
    if advice:
        text.append(textwrap.fill(advice, max(20, width)), "bold yellow")
    text.rstrip()
    return text
