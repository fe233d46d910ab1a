"""The palette finds everything by a few letters: actions, recipes, runs, data sets, settings."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from screen_helpers import screen_text, shows, wait_for
from stand_ins import make_run
from test_live import HOSTILE, watching
from textual.command import CommandList, CommandPalette
from textual.fuzzy import Matcher

from engine.contract.store.lock import WorkspaceLock
from engine.contract.store.workspace import Workspace
from medtui.console.palette import runs
from medtui.console.palette.matching import highlighted, quick
from medtui.preferences import read_preferences
from medtui.settings import Away, Settings

NAME = "20261121_breastmnist_resnet18-adapted_1a2b3c"
OTHER = "20261120_dermamnist_resnet18-adapted_4d5e6f"
SIZE = (120, 40)
asyncio_mark = pytest.mark.asyncio


async def searched(pilot, app, words: str, *expected: str) -> None:
    """Type these words into the palette, until it shows something."""
    await wait_for(pilot, lambda: app.base_screen and app.base_screen.ready)
    await pilot.press("ctrl+p")
    await wait_for(pilot, lambda: isinstance(app.screen, CommandPalette))
    await pilot.press(*(key if key != " " else "space" for key in words))
    await shows(pilot, *expected)


@asyncio_mark
async def test_a_recipe_that_is_found_opens_in_recipes(console, workspace: Workspace) -> None:
    (workspace.root / "mine.yaml").write_text("dataset: {name: cells}\n")
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("4")
        await searched(pilot, app, "mine.yaml", "recipe: mine.yaml", "A file of this workspace.")
        await pilot.press("enter")
        await wait_for(pilot, lambda: app.screen_name == "recipes" and app.base_screen.current)
        await wait_for(pilot, lambda: app.base_screen.current.entry.name == "mine.yaml")


@asyncio_mark
async def test_a_run_that_is_found_opens_in_results_whatever_filter_is_set(console, workspace: Workspace) -> None:
    for day, name in enumerate((OTHER, NAME)):
        make_run(workspace, name, started=f"2026-11-2{day}T20:26:40+00:00")
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("4")
        results = app.get_base_screen("results")
        await wait_for(pilot, lambda: results.detail)
        await pilot.press("slash", *"breast", "enter")
        await pilot.press("1")
        await searched(pilot, app, "derma", f"run: {OTHER}", "completed, test AUC 0.9014")
        await pilot.press(*"mnist_res", "enter")  # the recipe dermamnist does not match that
        await wait_for(pilot, lambda: app.screen_name == "results")
        await wait_for(pilot, lambda: results.detail and results.detail.run_row.run == OTHER)


@asyncio_mark
async def test_a_run_that_holds_the_workspace_opens_in_live(console, workspace: Workspace) -> None:
    make_run(workspace, NAME, None)
    lock = WorkspaceLock(workspace.lock_file, "e" * 16)
    lock.acquire()
    lock.describe(NAME)
    try:
        app = console()
        async with app.run_test(size=SIZE) as pilot:
            await wait_for(pilot, lambda: app.holder_run == NAME and app.screen_name == "live")
            await pilot.press("1")
            await searched(pilot, app, "1a2b3c", f"run: {NAME}", "watch it in Live")
            await pilot.press("enter")
            await wait_for(pilot, lambda: app.screen_name == "live" and app.view is not None and app.view.run == NAME)
    finally:
        lock.release()


@asyncio_mark
async def test_a_data_set_that_is_not_here_is_offered_to_be_fetched(console, workspace, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MEDTUI_OFFLINE", "")
    monkeypatch.setenv("MEDTUI_DATA", str(tmp_path / "data"))
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        machine = app.get_base_screen("machine")
        machine.diagnose = lambda workspace, cancelled: None
        await searched(pilot, app, "data set: pathmnist", "PathMNIST", "no file here", "Fetch 28, 64, 128, 224 px.")
        await pilot.press("enter")
        await wait_for(pilot, lambda: app.screen_name == "machine")
        await shows(pilot, "Fetch an official data set file", "pathmnist")
        await pilot.press("escape")


@asyncio_mark
async def test_a_setting_is_found_by_what_it_does_changed_and_remembered(console) -> None:
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await searched(pilot, app, "colours", "setting: theme: dark", "Change it to light.")
        await pilot.press("enter")
        await wait_for(pilot, lambda: not app.current_theme.dark)
        await searched(pilot, app, "setting: bell", "setting: bell: false", "Ring when a run ends")
        await pilot.press("enter")
        await wait_for(pilot, lambda: app.settings.bell)
    again = console()
    async with again.run_test(size=SIZE):
        assert not again.current_theme.dark and again.settings.bell
    assert set(read_preferences()) == {"setting_theme", "setting_bell"}


@asyncio_mark
async def test_no_secret_of_the_settings_is_shown_and_what_cannot_be_chosen_names_its_file(
    console, isolated_settings: Path
) -> None:
    away = Away(("page", "s3cret-argument"), "https://ntfy.sh/s3cret-topic")
    app = console(settings=Settings(bell=False, notify=False, away=away))
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await searched(pilot, app, "notify", "notify.command: set", "notify.url: set", "notify.on: end, failure")
        assert "s3cret" not in screen_text(app)
        await pilot.press(*".url", "enter")
        await wait_for(pilot, lambda: [n for n in app._notifications if str(isolated_settings) in n.message])
        assert app.settings.away == away


@asyncio_mark
async def test_names_from_files_are_shown_without_markup_or_control_characters(console, workspace: Workspace) -> None:
    name = f"20261121_{HOSTILE.replace('/', '|')}"
    make_run(workspace, name)
    (workspace.root / f"{HOSTILE.replace('/', '|')}.yaml").write_text("dataset: {name: cells}\n")
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await searched(pilot, app, "evil", "run: 20261121_evil·]52;c;AAAA··[31m", "recipe: evil·]52;c;AAAA··[31m")
        text = screen_text(app)
        assert not set(text) & set("\x1b\x07\x9b‮") and "[bold]x[|bold]" in text
        await pilot.press("enter")
        await wait_for(pilot, lambda: not isinstance(app.screen, CommandPalette))


@asyncio_mark
async def test_a_disk_that_does_not_respond_delays_no_action(console, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(runs, "list_runs", lambda outputs: [answered.wait(30)][:0])
    app = console()
    try:
        async with app.run_test(size=SIZE) as pilot:
            await pilot.press("4")
            await wait_for(pilot, lambda: app.screen_name == "results")
            await searched(pilot, app, "reload", "Reload the runs.")
            await pilot.press("escape")
    finally:
        answered.set()


@asyncio_mark
async def test_without_words_the_palette_lists_actions_only(console, scripts, workspace: Workspace) -> None:
    make_run(workspace, NAME)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await watching(pilot, app, scripts)
        await searched(pilot, app, "", "axis")
        shown = "\n".join(str(option.prompt) for option in app.screen.query_one(CommandList).options)
        assert not [kind for kind in ("recipe:", "run:", "data set:", "setting:") if kind in shown]


def test_letters_in_their_order_match_wherever_they_stand_and_others_do_not() -> None:
    text = "run: 20261121_breastmnist_resnet18-adapted_1a2b3c"
    for query in ("breast", "BREAST", "bmr", "run breast", "1a2b3c"):
        assert quick(Matcher(query)).match(text) > 0
    for query in ("tsaerb", "breastx", "derma"):
        assert quick(Matcher(query)).match(text) == 0
    scores = [quick(Matcher(query)).match(text) for query in ("breastmnist", "brstmnst")]
    assert scores[0] > scores[1], "what stands there as it was typed comes first"
    marked = highlighted(quick(Matcher("breast")), text)
    assert marked.plain == text and [(span.start, span.end) for span in marked.spans] == [
        (at, at + 1) for at in range(14, 20)
    ]


def test_a_name_made_to_match_in_a_million_ways_is_matched_at_once() -> None:
    began = time.process_time()
    assert quick(Matcher("aaaaabaaaaab")).match("a" * 60 + "cb" + "a" * 60 + "cb") > 0
    assert time.process_time() - began < 0.5
