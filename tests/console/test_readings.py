"""What screens read of files, in threads."""

from __future__ import annotations

import threading

import pytest
from screen_helpers import wait_for
from textual.app import App
from textual.message import Message
from textual.worker import Worker, WorkerState

from medtui.console.shell.readings import Readings


class Seen(Message):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what


class Reader(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.failed: list[str] = []
        self.readings = Readings(self)

    def on_seen(self, message: Seen) -> None:
        self.seen.append(message.what)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self.failed.append(str(event.worker.error))


@pytest.mark.asyncio
async def test_what_was_read_last_is_shown_last_however_slow_an_earlier_reading_was() -> None:
    app, go_on, began = Reader(), threading.Event(), []

    def slow() -> Seen:
        began.append("slow")
        go_on.wait(30)
        return Seen("slow")

    def quick(what: str) -> Seen:
        began.append(what)
        return Seen(what)

    async with app.run_test() as pilot:
        app.readings.start("files", slow)
        await wait_for(pilot, lambda: began == ["slow"])
        app.readings.start("files", lambda: quick("second"))
        app.readings.start("files", lambda: quick("third"))
        app.readings.start("others", lambda: quick("another group"))
        await wait_for(pilot, lambda: app.seen == ["another group"])
        go_on.set()
        await wait_for(pilot, lambda: len(app.seen) == 3)
        assert app.seen == ["another group", "slow", "third"]  # what was asked for last tells what the second would
        assert began == ["slow", "another group", "third"]


@pytest.mark.asyncio
async def test_a_reading_that_fails_is_reported_and_keeps_no_later_one_back() -> None:
    app, began, go_on = Reader(), threading.Event(), threading.Event()

    def failing() -> Seen:
        began.set()
        go_on.wait(30)
        raise ValueError("unreadable")

    async with app.run_test() as pilot:
        app.readings.start("files", failing)
        await wait_for(pilot, began.is_set)
        app.readings.start("files", lambda: Seen("asked for meanwhile"))
        go_on.set()
        await wait_for(pilot, lambda: app.seen == ["asked for meanwhile"])
        app.readings.start("files", lambda: Seen("later"))
        await wait_for(pilot, lambda: app.seen == ["asked for meanwhile", "later"])
        assert app.failed == ["unreadable"]
