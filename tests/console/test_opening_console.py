"""What the console opens with, and that its top line is true in every frame from the first."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import Engine, tiny
from rich.console import RenderableType
from screen_helpers import screen_text, shows, wait_for
from stand_ins import make_run
from suite_fixture import make_study, run_name, without_runner
from textual.color import Color
from textual.css import stylesheet
from textual.css.model import RuleSet
from textual.css.parse import parse
from textual.screen import Screen

from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.workspace import Workspace
from engine.contract.wire.errors import UsageError
from medtui.console.app import ConsoleApp
from medtui.console.shell.opening import Opening
from medtui.console.shell.theme import DARK, LIGHT
from medtui.machine.needs import Needs, needs_of_engines
from medtui.settings import Settings

FREEZE = gc.freeze  # which the fixtures replace

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


async def test_the_top_line_says_preparing_while_another_engine_may_resume_the_shown_run(
    console, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of that run, whose name and times would be another run's; how it ended before and after."""
    monkeypatch.setattr("medtui.console.app.POLL_STATUS_EVERY", 0.2)
    app = console(attach=make_run(workspace, NAME, "stopped"))
    lock = WorkspaceLock(workspace.lock_file, "e" * 16)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "■ stopped", "lock: free")
        lock.acquire()
        try:
            await shows(pilot, "◌ preparing", "lock: engine", ", preparing")
            first = screen_text(app).splitlines()[0]  # it may as well be another run that is prepared
            assert "1a2b3c" not in first and "elapsed" not in first and "breastmnist" not in first
        finally:
            lock.release()
        await shows(pilot, "■ stopped", "1a2b3c", "lock: free")


async def test_an_engine_whose_runner_was_killed_holds_the_workspace_in_every_place_that_says_so(
    console, workspace: Workspace
) -> None:
    """In the top line, in Machine, to who starts a run there, and in whose hands its data are."""
    make_study(workspace)
    with without_runner(workspace, run_name(2)):
        assert needs_of_engines(workspace) != Needs()
        app = console()
        async with app.run_test(size=(160, 40), notifications=True) as pilot:
            await shows(pilot, "● training", f"lock: engine {os.getpid()} of suite study, no runner")
            assert app.view is not None
            shown = app.view.run
            with pytest.raises(UsageError, match=f"held by engine {os.getpid()} of suite study, whose runner is gone"):
                app.start_run({})
            assert app.view.run == shown == run_name(2)
            await pilot.press("2")
            await shows(pilot, f"engine {os.getpid()}, alive", "of suite study, no runner")


async def test_no_style_is_parsed_twice_before_the_theme_changes(console, monkeypatch: pytest.MonkeyPatch) -> None:
    """All screens are visited; parsing them again would be most of what the first frame takes."""
    parsed: list[tuple[object, object]] = []

    def counted(scope: str, css: str, read_from: Any, *, tie_breaker: int, **options: Any) -> Iterable[RuleSet]:
        parsed.append((read_from, tie_breaker))  # a kind of widget that others are derived from gets another rank
        return parse(scope, css, read_from, tie_breaker=tie_breaker, **options)

    monkeypatch.setattr(stylesheet, "parse", counted)
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for(pilot, lambda: app.base_screen is not None and app.base_screen.ready)
        for key, name in zip("23451", ("machine", "live", "results", "suites", "recipes"), strict=True):
            await pilot.press(key)
            await wait_for(pilot, lambda name=name: app.screen_name == name and app.base_screen.ready)
        assert len(parsed) > 20
        assert len(parsed) == len(set(parsed))
        assert app.base_screen.styles.background == Color.parse(DARK.background or "")
        app.action_theme()
        await wait_for(pilot, lambda: app.base_screen.styles.background == Color.parse(LIGHT.background or ""))


async def test_the_first_style_that_is_parsed_is_of_the_chosen_theme(console) -> None:
    app = console(settings=Settings(theme="light"))
    async with app.run_test(size=(120, 40)):
        assert isinstance(app.screen, Opening)
        assert app.screen.styles.background == Color.parse(LIGHT.background or "")


async def test_what_a_screen_is_made_of_is_no_longer_searched_for_garbage(
    console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A complete search holds up every key; what it looks at is what came after the screens."""
    monkeypatch.setattr(gc, "freeze", FREEZE)
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for(pilot, lambda: app.base_screen is not None and app.base_screen.ready)
        await wait_for(pilot, lambda: all(node is not app.base_screen for node in gc.get_objects()))
        assert gc.isenabled()
