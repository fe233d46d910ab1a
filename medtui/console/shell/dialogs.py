"""Small windows: a question with answers, and the help page."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input

from medtui.actions import EVERYWHERE, INSIDE, Action
from medtui.console.shell.app_context import key_of
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Button, Static
from medtui.text import clean


class Question(ModalScreen[str | None]):
    """Asks; the first answer has the focus. The result is an answer's id, None for `esc`."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def __init__(self, question: str, answers: list[tuple[str, str]]) -> None:
        """`answers`: (id, words); the first is the harmless one."""
        super().__init__()
        self.question, self.answers = clean(question), answers

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Text(self.question))
            with Vertical(id="answers"):  # one per line: three do not fit side by side in a narrow terminal
                for id_, words in self.answers:
                    yield Button(Text(words), id=f"answer-{id_}", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss((event.button.id or "").removeprefix("answer-"))

    def action_close(self) -> None:
        self.dismiss(None)


class AskText(ModalScreen[str | None]):
    """Asks for a line of text. What cannot be shown of `value` stays as it is where nothing is typed."""

    BINDINGS: ClassVar[list[BindingType]] = [binding for binding in bindings("dialog") if "escape" in str(binding)]

    def __init__(self, question: str, value: str) -> None:
        super().__init__()
        self.question, self.value, self.shown = clean(question), value, clean(value)

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Text(self.question))
            yield Input(self.shown, compact=True, select_on_focus=False)  # the cursor at its end
            close = key_of(self, "dialog.close")
            yield Static(Text(f"enter accepts, {close} cancels", style="dim"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(self.value if event.value == self.shown else event.value)

    def action_close(self) -> None:
        self.dismiss(None)


class Help(ModalScreen[None]):
    """Every key of this screen and of all screens, from the registry."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("help")

    def __init__(self, screen_name: str, actions: dict[str, Action]) -> None:
        super().__init__()
        self.screen_name, self.actions = screen_name, actions

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(help_text(self.screen_name, self.actions))

    def action_close(self) -> None:
        self.dismiss(None)


def help_text(screen_name: str, actions: dict[str, Action]) -> Text:
    """Generated: no key is spelled out anywhere else."""
    text = Text()
    inside = [(f"in the {scope}", scope) for scope in INSIDE.get(screen_name, ())]
    for title, scope in (
        (screen_name, screen_name),
        *inside,
        ("everywhere", EVERYWHERE),
        ("in the kill switch", "kill_switch"),
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
