"""The part of Machine that fetches a data set file and says how far it is."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from rich.text import Text
from textual import work
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from engine.contract.errors import MedtuiError
from engine.contract.protocol import AnyEvent, Log, Progress
from medtui.client.data_sets import fetch_data_set
from medtui.console.engines import who
from medtui.console.host import host_of
from medtui.console.live_text import bytes_bar
from medtui.text import clean


@dataclass(frozen=True)
class Fetchable:
    """An official file."""

    name: str
    size: int  # pixels a side

    def __str__(self) -> str:
        return f"{self.name} {self.size} px"


class FetchPanel(Static):
    """Fetches by an engine of its own; the warm one stays as it is."""

    class Heard(Message):
        def __init__(self, event: AnyEvent) -> None:
            super().__init__()
            self.event = event

    class Over(Message):
        """How it ended, in words."""

        def __init__(self, words: str, *, failed: bool = False) -> None:
            super().__init__()
            self.words, self.failed = words, failed

    fetching: Fetchable | None = None
    fetch = staticmethod(fetch_data_set)

    def begin(self, file: Fetchable) -> None:
        self.fetching, self._cancelled = file, threading.Event()
        self._progress: Progress | None = None
        self._said = ""
        self.display = True
        self._show()
        self._fetch(file)

    def cancel(self) -> bool:
        """False when nothing is being fetched."""
        if self.fetching is None:
            return False
        self._cancelled.set()
        self._said = "cancelling …"
        self._show()
        return True

    @work(thread=True, group="fetch")
    def _fetch(self, file: Fetchable) -> None:
        worker, host, cancelled, said = get_current_worker(), host_of(self), self._cancelled, [""]

        def tell(event: AnyEvent) -> None:
            if isinstance(event, Log):
                said[0] = event.message
            if isinstance(event, Log | Progress):
                self.post_message(self.Heard(event))

        def given_up() -> bool:
            return cancelled.is_set() or worker.is_cancelled or not host.is_running

        try:
            self.fetch(file.name, file.size, host.workspace, host.data, by=who(), given_up=given_up, tell=tell)
            self.post_message(self.Over(said[0] or f"{file} is here."))
        except (MedtuiError, OSError) as error:
            words = f"Cancelled; nothing of {file} was kept." if cancelled.is_set() else str(error)
            self.post_message(self.Over(words, failed=not cancelled.is_set()))

    def on_fetch_panel_heard(self, message: Heard) -> None:
        message.stop()
        if self.fetching is None:
            return
        if isinstance(message.event, Progress):
            self._progress = message.event
        elif isinstance(message.event, Log) and not self._cancelled.is_set():
            self._said = message.event.message
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
        text.append("c cancels\n", "dim")
        if self._said:
            text.append(f"{clean(self._said, 300)}\n")
        if self._progress is not None:
            text.append_text(bytes_bar(self._progress, max(20, self.size.width - 2)))
        self.update(text)
