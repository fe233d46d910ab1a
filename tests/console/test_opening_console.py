"""What the console opens with, and that its top line is true in every frame from the first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import Engine, tiny
from rich.console import RenderableType
from screen_helpers import shows, wait_for
from stand_ins import make_run
from textual.screen import Screen

from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from medtui.console.app import ConsoleApp

NAME = "20261121_breastmnist_resnet18-adapted_1a2b3c"
LONG = tiny(training={"epochs": 2000, "batch_size": 8, "patience": None})

pytestmark = pytest.mark.asyncio


@pytest.fixture
def living(workspace: Workspace) -> Iterator[RunDirectory]:
    """A run of a real engine in its epochs."""
    engine = Engine(workspace.root)
    engine.train(LONG)
    run = RunDirectory(Path(engine.wait_for_event("run.started")["run_dir"]))
    engine.wait_for_event("epoch.finished")
    yield run
    engine.kill()


def top_lines(app: ConsoleApp, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The top line of every frame that is painted from now on, as it is painted."""
    lines: list[str] = []
    display = app._display

    def recorded(screen: Screen[object], renderable: RenderableType | None) -> None:
        display(screen, renderable)
        if renderable is not None and app.screen_stack and not app._batch_count:
            for shown in reversed(app.screen_stack):  # a dialog covers a part of it
                strips = shown._compositor.render_strips(app.size)
                if strips and strips[0].text.strip():
                    lines.append(strips[0].text)
                    break

    monkeypatch.setattr(app, "_display", recorded)
    return lines


async def test_the_console_opens_on_live_where_a_run_trains_and_no_frame_from_the_first_says_anything_else(
    console, living: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real run that was started elsewhere."""
    app = console()
    lines = top_lines(app, monkeypatch)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for(pilot, lambda: app.base_screen is not None)
        assert app.screen_name == "live"
        await shows(pilot, "● training", "cells · mini_cnn")
        assert app.view.run == living.name
    assert_true_from_the_first(lines)


@pytest.mark.slow
async def test_no_frame_says_anything_but_training_however_soon_screens_are_switched(
    console, living: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attached to a real run, and keys before anything is known of it."""
    app = console(attach=living)
    lines = top_lines(app, monkeypatch)
    async with app.run_test(size=(120, 40)) as pilot:
        for key in "14231":
            await pilot.press(key)
        await wait_for(pilot, lambda: app.view is not None and not app.view.catching_up)
        for key in "4213":
            await pilot.press(key)
            await pilot.pause()
        await shows(pilot, "● training", "cells · mini_cnn")
    assert len(lines) > 5
    assert_true_from_the_first(lines)


def assert_true_from_the_first(lines: list[str]) -> None:
    assert "connecting" in lines[0], "nothing is known yet, and nothing else is claimed"
    assert [line for line in lines if "● training" not in line and "◌ connecting" not in line] == []
    known = next(at for at, line in enumerate(lines) if "● training" in line)
    assert [line for line in lines[known:] if "● training" not in line] == [], "what is known stays known"


async def test_the_console_opens_on_recipes_where_nothing_trains(console, workspace: Workspace) -> None:
    make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "○ idle", "lock: free")
        assert (app.screen_name, app.handle) == ("recipes", None)


async def test_an_engine_that_prepares_is_no_idle_workspace(console, workspace: Workspace) -> None:
    """It has no run to attach to yet."""
    workspace.outputs.mkdir()
    lock = WorkspaceLock(workspace.lock_file, "e" * 16)
    lock.acquire()
    try:
        app = console()
        async with app.run_test(size=(120, 40)) as pilot:
            await shows(pilot, "◌ preparing", "lock: engine")
            assert app.screen_name == "recipes"
    finally:
        lock.release()
