"""A dialog with what an engine made of something that was asked for: how far it is, what it is, or why it is not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from rich.text import Text
from textual import work
from textual.message import Message
from textual.screen import ModalScreen

from engine.contract.files.paths import expanded
from engine.contract.wire.errors import MedtuiError
from engine.contract.wire.protocol import AnyEvent, Progress
from medtui.client.output_file import check_new_output
from medtui.console.shell.app_context import context_of, key_of
from medtui.console.shell.dialogs import STYLES, AskText
from medtui.console.shell.plain import Static
from medtui.console.widgets.bars import bar
from medtui.text import clean

BAR = 20  # cells

Result = TypeVar("Result")


class Advanced(Message):
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress


class Done(Message):
    """What was made; `stack` keeps its files until the dialog is closed."""

    def __init__(self, result: Any, stack: contextlib.ExitStack) -> None:
        super().__init__()
        self.result, self.stack = result, stack


class Failed(Message):
    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


class EngineDialog(ModalScreen[str | None], Generic[Result]):
    """Its result is what was asked for, where others are to be asked for; None to go back."""

    CSS_PATH = STYLES
    SCOPE: ClassVar[str]  # of its actions, and the id of its pane; its words are in `#SCOPE-words`

    def __init__(self, asked: str) -> None:
        super().__init__()
        self.asked = asked
        self._cancelled = threading.Event()
        self._stack = contextlib.ExitStack()
        self.made: Result | None = None

    def make_result(self, stack: contextlib.ExitStack) -> Result:
        """In a worker. Raises MedtuiError, OSError or ValueError, whose words are shown."""
        raise NotImplementedError

    def show_result(self, made: Result) -> None:
        raise NotImplementedError

    def save_to(self, made: Result, path: Path) -> None:
        """In a thread, to a file that is not there. Raises MedtuiError where it cannot be written."""
        raise NotImplementedError

    def amount(self, progress: Progress) -> str:
        """How far it is, in words; asked where the total is known."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.query_one(f"#{self.SCOPE}").focus()
        self.put_words(Text(f"Starting an engine …\n{key_of(self, f'{self.SCOPE}.close')} cancels.", "dim"))
        self._make()

    def on_unmount(self) -> None:
        self._cancelled.set()
        self._stack.close()

    @work(thread=True, exit_on_error=False, group="engine")
    def _make(self) -> None:
        stack = contextlib.ExitStack()
        try:
            result = self.make_result(stack)
        except (MedtuiError, OSError, ValueError) as error:
            stack.close()
            if not self._cancelled.is_set():
                self.post_message(Failed(str(error)))
            return
        if self._cancelled.is_set() or not self.post_message(Done(result, stack)):
            stack.close()

    def is_cancelled(self) -> bool:
        """From any thread."""
        return self._cancelled.is_set() or not context_of(self).is_running

    def receive(self, event: AnyEvent) -> None:
        """From any thread."""
        if isinstance(event, Progress):
            self.post_message(Advanced(event))

    def on_advanced(self, message: Advanced) -> None:
        progress = message.progress
        text = Text(f"{clean(progress.activity, 60)} ")
        if progress.total:
            text.append_text(bar(progress.done, progress.total, BAR)).append(f" {self.amount(progress)}")
        self.put_words(text.append(f"\n{key_of(self, f'{self.SCOPE}.close')} cancels.", "dim"))

    def on_failed(self, message: Failed) -> None:
        text = Text(f"{clean(message.words, 2000)}\n", "bold red")
        other, close = key_of(self, f"{self.SCOPE}.other"), key_of(self, f"{self.SCOPE}.close")
        self.put_words(text.append(f"{other} asks for other images, {close} goes back.", "dim"))

    def on_done(self, message: Done) -> None:
        self.made, self._stack = message.result, message.stack
        self.show_result(message.result)

    def put_words(self, text: Text) -> None:
        self.query_one(f"#{self.SCOPE}-words", Static).update(text)

    async def save_result(self, question: str, name: str) -> str | None:
        """Ask for a new file and write what was made to it. Its name; None where nothing was written, which is said."""
        context, made = context_of(self), self.made
        if not context.may_change():
            return None
        if made is None:
            context.show_toast("There is nothing to save yet.", severity="warning")
        elif answer := await context.push_screen_wait(AskText(question, name)):
            try:
                await asyncio.to_thread(self._save_new, made, expanded(answer.strip()))
            except MedtuiError as error:
                context.show_toast(str(error), severity="error")
            else:
                return answer
        return None

    def _save_new(self, made: Result, path: Path) -> None:
        check_new_output(path)
        self.save_to(made, path)

    def action_close(self) -> None:
        self._cancelled.set()
        self.dismiss(None)

    def action_other(self) -> None:
        self._cancelled.set()
        self.dismiss(self.asked)
