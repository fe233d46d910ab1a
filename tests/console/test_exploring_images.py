"""Exploring images from Machine: what `medtui data explore` finds, and its page, written only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from own_pictures import write_class_folders
from screen_helpers import screen_text, shows, wait_for
from textual.pilot import Pilot
from textual.widgets import Input

from medtui.client.named_source import section_named
from medtui.console.app import ConsoleApp
from medtui.console.machine.explore import ExplorationScreen


async def asked(pilot: Pilot[int], app: ConsoleApp, words: str) -> None:
    await pilot.press("2")
    await wait_for(pilot, lambda: app.screen_name == "machine" and app.base_screen.ready)
    await pilot.press("e")
    await shows(pilot, "Explore which images?")
    app.screen.query_one(Input).value = words
    await pilot.press("enter")
    await wait_for(pilot, lambda: isinstance(app.screen, ExplorationScreen))


@pytest.mark.asyncio
async def test_what_is_in_a_folder_is_shown_and_the_page_is_written_when_asked_for(
    console: Callable[..., ConsoleApp], temporary: Path, tmp_path: Path
) -> None:
    write_class_folders(tmp_path / "scans", per_class=12)
    (tmp_path / "scans" / "a" / "broken.png").write_bytes(b"no image")
    app = console()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await asked(pilot, app, str(tmp_path / "scans"))
        await shows(pilot, "24 RGB images of 2 classes", "unusable: a/broken.png")
        page = tmp_path / "page.html"
        await pilot.press("s")
        await shows(pilot, "Write the page")
        app.screen.query_one(Input).value = str(page)
        await pilot.press("enter")
        await shows(pilot, "Written to")
        assert "<h2>What stands out</h2>" in page.read_text(encoding="utf-8")
        await pilot.press("e")
        await shows(pilot, "Explore which images?")
        assert app.screen.query_one(Input).value == str(tmp_path / "scans")
        app.screen.query_one(Input).value = "brestmnist"
        await pilot.press("enter")
        await shows(pilot, "breastmnist", "asks for other images")
        await pilot.press("escape")
        await wait_for(pilot, lambda: app.screen is app.base_screen)
        await wait_for(pilot, lambda: not list(temporary.glob("medtui-*")))


@pytest.mark.asyncio
async def test_the_chosen_recipe_names_the_images_first(console: Callable[..., ConsoleApp]) -> None:
    app = console()
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for(pilot, lambda: app.chosen_recipe is not None)
        await pilot.press("2")
        await wait_for(pilot, lambda: app.screen_name == "machine" and app.base_screen.ready)
        await pilot.press("e")
        await shows(pilot, "Explore which images?")
        recipe = app.chosen_recipe
        assert recipe is not None and app.screen.query_one(Input).value == recipe.dataset.name
        await pilot.press("escape")
        await wait_for(pilot, lambda: app.screen is app.base_screen)
        assert "Explore which" not in screen_text(app)


def test_a_word_names_a_set_a_path_or_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "mine.yaml").write_text("dataset: {name: pathmnist, size: 64}\n")
    assert section_named("breastmnist") == {"name": "breastmnist"}
    assert section_named(str(tmp_path / "scans")) == {"folder": str(tmp_path / "scans"), "size": 64}
    assert section_named(str(tmp_path / "table.csv")) == {"csv": str(tmp_path / "table.csv"), "size": 64}
    found = section_named(str(tmp_path / "mine.yaml"))
    assert (found["name"], found["size"]) == ("pathmnist", 64)
