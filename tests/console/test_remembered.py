"""What keys chose is what the next console begins with."""

from __future__ import annotations

from pathlib import Path

import pytest
from screen_helpers import screen_text, shows, wait_for
from stand_ins import make_run
from test_live import watching
from textual.widgets import OptionList

from engine.contract.store.workspace import Workspace
from medtui.console.results.columns import TITLES, known_columns, limited
from medtui.console.results.run_table import Arrangement
from medtui.settings import Settings, read_settings

SIZE = (120, 40)
pytestmark = pytest.mark.asyncio


async def in_results(pilot, app):
    await pilot.press("4")
    await wait_for(pilot, lambda: app.screen_name == "results" and app.base_screen.ready and app.base_screen.detail)
    return app.base_screen


def two_runs(workspace: Workspace) -> None:
    for day, hash_ in enumerate(("bbbbbb", "aaaaaa")):
        make_run(
            workspace, f"2026112{day}_breastmnist_resnet18-adapted_{hash_}", started=f"2026-11-2{day}T10:00:00+00:00"
        )


async def test_the_theme_is_kept_until_the_settings_file_names_another(console, isolated_settings: Path) -> None:
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("ctrl+t")
        await wait_for(pilot, lambda: not app.current_theme.dark)
    again = console()
    async with again.run_test(size=SIZE):
        assert not again.current_theme.dark
    isolated_settings.write_text("theme: dark\nbell: false\n")  # what it was without the line
    third = console(settings=read_settings())
    async with third.run_test(size=SIZE) as pilot:
        assert not third.current_theme.dark
        await pilot.press("ctrl+t")
    isolated_settings.write_text("theme: light\nbell: false\n")
    fourth = console(settings=read_settings())
    async with fourth.run_test(size=SIZE):
        assert not fourth.current_theme.dark


async def test_order_and_columns_of_the_runs_are_kept(console, workspace: Workspace) -> None:
    two_runs(workspace)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        results = await in_results(pilot, app)
        await pilot.press("s", "R")
        await shows(pilot, "by data set ↑")
        await pilot.press("v")
        await shows(pilot, "Columns of the table", "space chooses", "enter accepts")
        for title in ("outcome", "took"):
            options = app.screen.query_one(OptionList)
            options.highlighted = TITLES.index(title)
            await pilot.press("space")
        await pilot.press("enter")
        await wait_for(pilot, lambda: results.columns == ("outcome", "took"))
        assert [str(column.value) for column in results.query_one("#runs").columns] == ["", "date", "outcome", "took"]
    again = console()
    async with again.run_test(size=SIZE) as pilot:
        results = await in_results(pilot, again)
        await shows(pilot, "by data set ↑", "took")
        assert "test AUC" not in screen_text(again).split("╰")[0]
        await pilot.press("v", "a")
        await wait_for(pilot, lambda: not results.columns)
        await shows(pilot, "test AUC")


async def test_esc_changes_no_column(console, workspace: Workspace) -> None:
    two_runs(workspace)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        results = await in_results(pilot, app)
        await pilot.press("v", "space", "escape")
        await wait_for(pilot, lambda: app.screen is app.base_screen)
        assert results.columns == ()


async def test_marked_runs_are_drawn_over_the_run_or_not_as_a_key_says(console, scripts, workspace: Workspace) -> None:
    two_runs(workspace)
    app = console()
    async with app.run_test(size=SIZE) as pilot:
        await watching(pilot, app, scripts)
        await in_results(pilot, app)
        await pilot.press("space", "3")
        plot = app.get_base_screen("live").query_one("#auc")
        await wait_for(pilot, lambda: len(plot.spec.series) == 2)
        await pilot.press("o")
        await wait_for(pilot, lambda: len(plot.spec.series) == 1)
    again = console(settings=Settings(bell=False, notify=False))
    async with again.run_test(size=SIZE) as pilot:
        await watching(pilot, again, scripts)
        assert not again.base_screen.plots.shown.overlay


async def test_what_a_file_remembers_of_columns_is_checked() -> None:
    assert known_columns(["took", "nonsense", 3, "outcome"]) == ("outcome", "took")
    assert known_columns("took") == known_columns(None) == known_columns({"took": 1}) == ()


async def test_no_number_stands_without_the_data_set_of_a_subset_run() -> None:
    shown = limited(Arrangement(), ("test AUC",), subsets=True)
    assert shown.by_importance == ("", "date", "data set", "test AUC")
