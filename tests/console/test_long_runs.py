"""A journal of 50 MB: whoever attaches sees the run at once, and all of it a little later."""

from __future__ import annotations

import time

import pytest
from screen_helpers import screen_text, shows, wait_for
from stand_ins import Story, class_rows, make_run

from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.status import read_status
from engine.contract.store.workspace import Workspace
from engine.contract.wire.protocol import AnyEvent, Progress, RunFinished
from medtui.client.feed import RunFeed
from medtui.client.sources import RunFiles
from medtui.client.state import RunState
from medtui.console.app import ConsoleApp
from medtui.plain.attach import follow_run
from medtui.settings import Settings

pytestmark = pytest.mark.slow  # 50 MB

BYTES = 50_000_000
STEPS = 94  # of an epoch
NAME = "20261121_long"
AT_ONCE = 1.0  # seconds of this process's own time


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, int]:
    """A completed run, and how many epochs it had."""
    workspace = Workspace(tmp_path_factory.mktemp("long"))
    run = make_run(workspace, NAME, epochs=1)
    story = Story(run.root, epochs=100_000, steps=STEPS)
    template, rows = story.epoch(1), class_rows(1) * 4
    with run.journal.path.open("wb") as journal:
        for event in story.running(0):
            if event.seq is not None:
                journal.write(event.line())
        number = 0
        while journal.tell() < BYTES:
            number += 1
            curve = [((number - 1) * STEPS + step, 0.5 + step / 1000) for step in range(STEPS)]
            changes = {"epoch": number, "step": number * STEPS, "curve": curve, "per_class": rows}
            journal.write(template.model_copy(update={**story._next(), **changes}).line())
        for event in story.ended():
            journal.write(event.line())
    status = read_status(run)
    assert status is not None
    progress = story.progress(number, STEPS)
    run.status.path.write_text(status.model_copy(update={"progress": progress}).model_dump_json())
    return run, number


class Noted:
    """A view of a run that records when it first received what."""

    def __init__(self) -> None:
        self.began = time.thread_time()
        self.first: float | None = None
        self.events = 0

    def event(self, line: bytes, event: AnyEvent | None, state: RunState) -> None:
        self.first = self.first or time.thread_time() - self.began
        self.events += 1

    def progress(self, progress: Progress, state: RunState) -> None: ...

    def note(self, text: str) -> None: ...

    def end(self, finished: RunFinished, state: RunState) -> None: ...


def test_attach_shows_the_first_events_of_a_50_mb_journal_at_once_and_then_all(
    long_run: tuple[RunDirectory, int],
) -> None:
    run, epochs = long_run
    assert run.journal.size >= BYTES
    show = Noted()
    assert follow_run(run, show) == 0
    assert show.first is not None and show.first < AT_ONCE
    assert show.events == len(run.journal.path.read_bytes().splitlines()) > epochs


def test_the_status_is_known_before_the_journal_is_read(long_run: tuple[RunDirectory, int]) -> None:
    run, epochs = long_run
    feed = RunFeed(RunFiles(run))
    began = time.thread_time()
    next(feed.poll(0.0))
    assert time.thread_time() - began < AT_ONCE
    assert feed.view.progress is not None and feed.view.progress.epoch == epochs
    assert not feed.view.state.epochs


@pytest.mark.asyncio
async def test_the_console_shows_a_run_of_50_mb_before_it_has_read_it(
    long_run: tuple[RunDirectory, int],
) -> None:
    """And while it reads, neither a previous attempt nor an old alarm is reported as new."""
    run, epochs = long_run
    app = ConsoleApp(Workspace(run.root.parent.parent), settings=Settings(bell=False, notify=False), warm=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for(pilot, lambda: app.screen_name == "recipes")
        app.go_to("live")
        await shows(pilot, "r runs the selected recipe")
        began = time.process_time()
        assert app.attach_to(NAME)
        while "✓ completed" not in screen_text(app):  # as its status says; the journal's beginning is long ago
            await pilot.pause(0.02)
        assert time.process_time() - began < AT_ONCE
        assert app.view is not None and app.view.catching_up and app.view.outcome is None
        assert len(app.view.state.epochs) < epochs
        await wait_for(pilot, lambda: app.view is not None and app.view.outcome == "completed", 120.0)
        assert len(app.view.state.epochs) == epochs
