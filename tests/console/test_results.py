"""Results: what is done with a run that is over is asked first, seen at once, and never done to one that lives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from driving import Engine, tiny
from looking import screen_text, shows, wait_for
from stand_ins import make_run
from textual.pilot import Pilot

from engine.contract.process_identity import this_process
from engine.contract.run_directory import RunDirectory, list_runs
from engine.contract.status import read_status
from engine.contract.workspace import Workspace
from medtui.client.keeping import read_labels
from medtui.client.watch import OwnEngine
from medtui.console.app import ConsoleApp

SIZE = (120, 40)
NAME = "20261121_breastmnist_resnet18-adapted_1a2b3c"

pytestmark = pytest.mark.asyncio


async def opened(pilot: Pilot[int], app: ConsoleApp) -> None:
    """Results, with the detail of the one run."""
    await pilot.press("4")
    await wait_for(pilot, lambda: app.room_name == "results" and app.room.ready and app.room.detail)


def comes_alive(run: RunDirectory) -> None:
    """Its heartbeat names a process that lives: this one."""
    status = read_status(run)
    assert status is not None
    me = this_process()
    alive = {"outcome": None, "phase": "training", "pid": os.getpid(), "started": me.started}
    run.status.write_text(status.model_copy(update=alive).model_dump_json())


async def test_a_run_is_tagged_and_noted_and_both_are_shown_without_markup(console, workspace: Workspace) -> None:
    run = make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("t")
        await shows(pilot, f"Tags of {NAME}")
        await pilot.press(*"paper", "space", *"[/b]", "enter")
        await shows(pilot, "tags paper [/b]")
        await pilot.press("n", *"seed 42", "enter")
        await shows(pilot, "note seed 42")
    labels = read_labels(run)
    assert (labels.tags, labels.note) == (("paper", "[/b]"), "seed 42")


async def test_deleting_needs_the_word_typed_and_anything_else_deletes_nothing(console, workspace: Workspace) -> None:
    run = make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        for answer in (("escape",), ("enter",), (*"yes", "enter")):
            await pilot.press("D")
            await shows(pilot, "will be gone for ever")
            await pilot.press(*answer)
            await wait_for(pilot, lambda: app.screen is app.room)
            assert run.manifest.exists()
        await pilot.press("D", *"delete", "enter")
        await shows(pilot, "There is no run here yet.")
    assert list(workspace.outputs.iterdir()) == []


async def test_an_archived_run_is_moved_whole_and_no_more_listed(console, workspace: Workspace) -> None:
    run = make_run(workspace, NAME)
    files = sorted(path.relative_to(run.root) for path in run.root.rglob("*"))
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("A")
        await shows(pilot, "outputs/archive?")
        await pilot.press("right", "enter")
        await shows(pilot, "There is no run here yet.")
    moved = workspace.outputs / "archive" / NAME
    assert sorted(path.relative_to(moved) for path in moved.rglob("*")) == files
    assert list_runs(workspace.outputs) == []


@pytest.mark.parametrize("key", ["A", "D", "e"])
async def test_a_run_that_lives_is_neither_moved_nor_deleted_nor_evaluated(console, workspace, key: str) -> None:
    run = make_run(workspace, NAME, None)
    comes_alive(run)
    app = console()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press(key)
        await wait_for(pilot, lambda: [note for note in app._notifications if "Stop it first." in note.message])
        assert app.screen is app.room
    assert run.manifest.exists()


async def test_read_only_changes_nothing(console, workspace: Workspace) -> None:
    make_run(workspace, NAME)
    before = _content(workspace.outputs)
    app = console(readonly=True)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await opened(pilot, app)
        for key in "tnADe":
            await pilot.press(key)
            await shows(pilot, "Read only: nothing can be changed.")
            assert app.screen is app.room, screen_text(app)
    assert _content(workspace.outputs) == before


def _content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


async def test_u_goes_on_with_an_aborted_run_in_its_own_directory(console, workspace: Workspace) -> None:
    """A real engine, twice: aborted in its first epochs from its pipe, gone on with from Results."""
    first = Engine(workspace.root)
    first.train(tiny(training={"epochs": 6, "batch_size": 8, "patience": None}))
    first.wait_for_event("epoch.finished")
    first.send("abort", id="abort")
    assert first.end() == 7
    [run] = list_runs(workspace.outputs)
    app = console(make_engine=OwnEngine)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("u")
        await wait_for(pilot, lambda: app.room_name == "live")
        await wait_for(pilot, lambda: app.view is not None and app.view.outcome == "completed", patience=60)
        assert app.view is not None
        assert app.view.state.started is not None
        assert app.view.state.started.attempt == 2
        assert [epoch.epoch for epoch in app.view.state.epochs] == [1, 2, 3, 4, 5, 6]
    assert [found.root for found in list_runs(workspace.outputs)] == [run.root]


async def test_a_completed_run_is_not_gone_on_with_and_the_console_says_so(console, workspace: Workspace) -> None:
    make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("u")
        await wait_for(pilot, lambda: [one for one in app._notifications if "nothing to resume" in one.message])
        assert app.room_name == "results"
