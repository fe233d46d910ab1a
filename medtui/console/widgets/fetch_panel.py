"""The part of Machine that fetches a data set file and shows the progress."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from rich.text import Text
from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from engine.contract.wire.errors import MedtuiError
from engine.contract.wire.protocol import AnyEvent, Log, Progress
from medtui.client.data_sets import fetch_data_set
from medtui.console.shell.app_context import context_of, key_of
from medtui.console.shell.engines import who
from medtui.console.shell.plain import Static
from medtui.console.widgets.bars import bytes_bar
from medtui.text import clean


@dataclass(frozen=True)
class Fetchable:
    """An official file."""

    name: str
    size: int  # pixels per side

    def __str__(self) -> str:
        return f"{self.name} {self.size} px"


class FetchPanel(Static):
    """Fetches in a separate engine; the warm one stays unused."""

    class Received(Message):
        def __init__(self, event: AnyEvent) -> None:
            super().__init__()
            self.event = event

    class Over(Message):
        """The outcome as text."""

        def __init__(self, words: str, *, failed: bool = False) -> None:
            super().__init__()
            self.words, self.failed = words, failed

    fetching: Fetchable | None = None
    fetch = staticmethod(fetch_data_set)

    def begin(self, file: Fetchable) -> None:
        self.fetching, self._cancelled = file, threading.Event()
        self._progress: Progress | None = None
        self._message = ""
        self.display = True
        self._show()
        self._fetch(file)

    def cancel(self) -> bool:
        """False when nothing is being fetched."""
        if self.fetching is None:
            return False
        self._cancelled.set()
        self._message = "cancelling …"
        self._show()
        return True

    @work(thread=True, group="fetch")
    def _fetch(self, file: Fetchable) -> None:
        worker, context, cancel_event, last_message = get_current_worker(), context_of(self), self._cancelled, [""]

        def on_event(event: AnyEvent) -> None:
            if isinstance(event, Log):
                last_message[0] = event.message
            if isinstance(event, Log | Progress):
                self.post_message(self.Received(event))

        def cancelled() -> bool:
            return cancel_event.is_set() or worker.is_cancelled or not context.is_running

        try:
            self.fetch(
                file.name, file.size, context.workspace, context.data, by=who(), cancelled=cancelled, on_event=on_event
            )
            self.post_message(self.Over(last_message[0] or f"{file} is available."))
        except (MedtuiError, OSError) as error:
            words = f"Cancelled; no part of {file} was kept." if cancel_event.is_set() else str(error)
            self.post_message(self.Over(words, failed=not cancel_event.is_set()))

    def on_fetch_panel_received(self, message: Received) -> None:
        message.stop()
        if self.fetching is None:
            return
        if isinstance(message.event, Progress):
            self._progress = message.event
        elif isinstance(message.event, Log) and not self._cancelled.is_set():
            self._message = message.event.message
        self._show()

    def on_fetch_panel_over(self, message: Over) -> None:
        self.fetching = None
        text = Text("fetch ", "bold")
        text.append(f"{'✗' if message.failed else '✓'} {clean(message.words, 600)}\n", "red" if message.failed else "")
        self.update(text)

    def on_resize(self) -> None:
        if self.fetching is not None:
            self._show()

    def _show(self) -> None:
        text = Text("fetch ", "bold")
        text.append(f"{self.fetching}  ")
        text.append(f"{key_of(self, 'machine.cancel')} cancels\n", "dim")
        if self._message:
            text.append(f"{clean(self._message, 300)}\n")
        if self._progress is not None:
            text.append_text(bytes_bar(self._progress, max(20, self.size.width - 2)))
        self.update(text)
