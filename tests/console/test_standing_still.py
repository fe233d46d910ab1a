"""What stands still or moves below a console: an engine that a signal suspended, an emptied journal, a moved folder."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from screen_helpers import screen_text, shows, wait_for
from stand_ins import Story, make_run
from suite_fixture import end, held, make_study, run_name
from test_recipes import MINE, SIZE, opened

from engine.contract.machine.process_identity import ProcessIdentity, process_here
from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.run_directory import RunDirectory
from engine.contract.store.status import Status
from engine.contract.store.workspace import Workspace

NAME = "20261121_breastmnist_resnet18-adapted_1a2b3c"


@pytest.fixture
def sleeper() -> Iterator[ProcessIdentity]:
    """A process in the place of an engine."""
    child = subprocess.Popen(["sleep", "600"])
    try:
        yield process_here(child.pid)
    finally:
        child.kill()
        child.wait()


def trained_by(run: RunDirectory, engine: ProcessIdentity) -> None:
    """The heartbeat of its fourth epoch."""
    status = Status.model_validate_json(run.status.path.read_text())
    progress = Story(run.root).progress(4, 2)
    values = {"pid": engine.pid, "started": engine.started, "boot": engine.boot, "host": engine.host}
    run.status.path.write_text(status.model_copy(update={**values, "progress": progress}).model_dump_json())


@pytest.mark.asyncio
async def test_an_engine_that_a_signal_suspended_is_not_said_to_train(
    console, workspace, sleeper: ProcessIdentity
) -> None:
    """Before the console came, and while it watches."""
    run = make_run(workspace, NAME, None, epochs=3)
    trained_by(run, sleeper)
    os.kill(sleeper.pid, signal.SIGSTOP)
    app = console(attach=run)
    async with app.run_test(size=SIZE) as pilot:
        await shows(pilot, "‖ suspended", "The signal SIGCONT continues it.")
        os.kill(sleeper.pid, signal.SIGCONT)
        await wait_for(pilot, lambda: "● training" in screen_text(app) and "SIGCONT" not in screen_text(app))
        os.kill(sleeper.pid, signal.SIGSTOP)
        await shows(pilot, "‖ suspended")


@pytest.mark.asyncio
async def test_a_run_whose_journal_was_emptied_is_known_by_its_heartbeat(
    console, workspace, sleeper: ProcessIdentity
) -> None:
    run = make_run(workspace, NAME, None, epochs=3)
    trained_by(run, sleeper)
    run.journal.path.write_bytes(b"")
    app = console(attach=run)
    async with app.run_test(size=SIZE) as pilot:
        await shows(pilot, "● training", "epoch 4", "The journal of this run is damaged")
        assert "starting" not in screen_text(app)


@pytest.mark.asyncio
async def test_nothing_is_trained_in_a_folder_that_took_the_place_of_the_workspace(console, scripts, workspace) -> None:
    (workspace.root / "mine.yaml").write_text(MINE)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        screen = await opened(pilot, app, "mine.yaml")
        await wait_for(pilot, lambda: screen.checked and screen.checked.recipe)
        moved = workspace.root.rename(workspace.root.with_name("moved"))
        for made in (False, True):
            if made:
                workspace.root.mkdir()
            app.clear_notifications()
            await pilot.press("r")
            await wait_for(pilot, lambda: any("was moved or removed" in one.message for one in app._notifications))
        assert not any(script.sent for script in scripts) and not list(workspace.root.iterdir())
        workspace.root.rmdir()
        moved.rename(workspace.root)
        await pilot.press("r")
        await wait_for(pilot, lambda: scripts and scripts[-1].sent)


@pytest.mark.asyncio
async def test_live_follows_a_suite_from_run_to_run_but_leaves_a_run_that_was_chosen(console, workspace) -> None:
    """Runs 2 and 5 of the study live; 2 ends, then another trains."""
    make_study(workspace)
    first, second = run_name(2), run_name(5)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        with held(workspace, first):
            await wait_for(pilot, lambda: app.view is not None and app.view.run == first)
            await wait_for(pilot, lambda: app.living == (first,))
        end(RunDirectory(workspace.outputs / first))
        with held(workspace, second):
            await wait_for(pilot, lambda: app.view is not None and app.view.run == second)
            app.attach_to(run_name(0))  # to read it, while the suite goes on
            await wait_for(pilot, lambda: app.view.outcome == "completed")
            polled = app.status
            await wait_for(pilot, lambda: app.status is not polled)
            assert app.view.run == run_name(0)


@contextmanager
def held_alone(workspace: Workspace, run: str) -> Iterator[None]:
    """By the engine of this run, as `medtui run` starts it."""
    lock = WorkspaceLock(workspace.lock_file, "e" * 16)
    lock.acquire()
    lock.describe(run)
    try:
        yield
    finally:
        lock.release()


@pytest.mark.asyncio
@pytest.mark.parametrize("trained", [held, held_alone])
async def test_a_console_whose_run_is_over_connects_to_what_another_shell_starts(console, workspace, trained) -> None:
    """Run 2 of the study ends and nothing trains, until a suite, or `medtui run`, trains run 5."""
    make_study(workspace)
    first, second = run_name(2), run_name(5)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        with held(workspace, first):
            await wait_for(pilot, lambda: app.view is not None and app.view.run == first)
        end(RunDirectory(workspace.outputs / first))
        await wait_for(pilot, lambda: app.view.outcome == "completed" and app.status.lock == "free")
        with trained(workspace, second):
            await wait_for(pilot, lambda: app.view.run == second)
            await shows(pilot, "Attached to", second[-6:])
