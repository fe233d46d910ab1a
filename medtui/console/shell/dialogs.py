"""Small windows over a screen: a question with answers, a line of text, the help page. The same keys in all of them.

`esc` leaves one and does nothing. Each answer of a question has its own key, which stands on its button: yes, no, and
another. The focus is on what is most likely meant, unless that destroys something.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from medtui.actions import EVERYWHERE, INSIDE, Action
from medtui.console.shell.app_context import key_of
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Button, Static, border_subtitle
from medtui.text import clean

Result = TypeVar("Result")
Answer = tuple[str, str] | tuple[str, str, str]  # id, words, and the action whose key gives it
STYLES = Path(__file__).with_name("dialogs.tcss")  # of everything that is modal
NO, YES, OTHER = "dialog.no", "dialog.yes", "dialog.other"


class Dialog(ModalScreen[Result | None]):
    """Leaving it, by whichever key its bindings have for that, is None and does nothing.

    The console shows one that is asked by `push_screen_wait` when no other is open.
    """

    CSS_PATH = STYLES

    def action_close(self) -> None:
        self.dismiss(None)


class Question(Dialog[str]):
    """Asks; the result is the id of an answer, None for `esc`."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def __init__(
        self, question: str, answers: Sequence[Answer], details: Sequence[str] = (), *, likely: str | None = None
    ) -> None:
        """`answers`: the first is the harmless one, given by no; the second by yes, a third by other, unless they name
        their actions. `likely`: the id of the one that has the focus; without it, the harmless one."""
        super().__init__()
        self.question, self.answers, self.details = clean(question), answers, [clean(line, 200) for line in details]
        self._likely = likely or answers[0][0]
        self._id_of = {_action_of(number, answer): answer[0] for number, answer in enumerate(answers)}

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Text(self.question))
            if self.details:
                yield Static(Text("\n".join(self.details), "dim"), id="details")
            with Vertical(id="answers"):  # one per line: three do not fit side by side in a narrow terminal
                for action, (id_, words, *_) in zip(self._id_of, self.answers, strict=True):
                    label = Text.assemble((key_of(self, action), "bold"), f" {words}")
                    yield Button(label, id=f"answer-{id_}", compact=True)

    def on_mount(self) -> None:
        self.set_focus(self.query_one(f"#answer-{self._likely}"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss((event.button.id or "").removeprefix("answer-"))

    def action_answer(self, action: str) -> None:
        """A key that no answer here has does nothing."""
        if action in self._id_of:
            self.dismiss(self._id_of[action])


def _action_of(number: int, answer: Answer) -> str:
    return answer[2] if len(answer) == 3 else (NO, YES, OTHER)[number]


class AskText(Dialog[str]):
    """Asks for a line of text. What cannot be shown of `value` stays as it is where nothing is typed.

    `select`: what is typed replaces it.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog", "dialog.close")  # the others are letters

    def __init__(self, question: str, value: str, *, select: bool = False) -> None:
        super().__init__()
        self.question, self.value, self.shown, self.select = clean(question), value, clean(value), select

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Text(self.question))
            yield Input(self.shown, compact=True, select_on_focus=self.select)  # else the cursor is at its end
            close = key_of(self, "dialog.close")
            yield Static(Text(f"enter accepts, {close} cancels", style="dim"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(self.value if event.value == self.shown else event.value)


def say_how_to_close(dialog: Dialog[None], pane: Widget) -> None:
    """In the pane's border, by the first of the keys."""
    border_subtitle(pane, f"{key_of(dialog, 'help.close')} closes")


class Help(Dialog[None]):
    """Every key of this screen and of all screens, from the registry."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, screen_name: str, actions: dict[str, Action]) -> None:
        super().__init__()
        self.screen_name, self.actions = screen_name, actions

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help") as pane:
            say_how_to_close(self, pane)
            yield Static(help_text(self.screen_name, self.actions))


def help_text(screen_name: str, actions: dict[str, Action]) -> Text:
    """Generated: no key is spelled out anywhere else."""
    text = Text()
    inside = [(f"in the {scope}", scope) for scope in INSIDE.get(screen_name, ())]
    for title, scope in (
        (screen_name, screen_name),
        *inside,
        ("everywhere", EVERYWHERE),
        ("in the kill switch", "kill_switch"),
        ("in a question", "dialog"),
    ):
        text.append(f"{title}\n", "bold underline")
        for action in actions.values():
            if action.scope == scope:
                text.append(f"  {action.key:<6}", "bold")
                text.append(f" {clean(action.help)}")
                text.append(f"  {action.id}\n", "dim")
        if (title, scope) == ("results", "results"):
            from medtui.client.run_filter import describe_filter  # reads runs, which the first frame does without

            text.append(f"The filter: {describe_filter()}\n")
        text.append("\n")
    text.append("Change a key by its id in the settings file, under `keys:`.", "dim")
    return text
