"""The table of all screens."""

from __future__ import annotations

import pytest
from rich.text import Text
from screen_helpers import wait_for
from textual.app import App, ComposeResult

from medtui.console.widgets.table import DataTable


@pytest.mark.asyncio
async def test_a_table_that_was_drawn_before_it_was_measured_is_drawn_again() -> None:
    class OneTable(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable(show_header=False)

    app = OneTable()
    async with app.run_test(size=(40, 10)) as pilot:
        table = app.query_one(DataTable)
        for _ in range(2):  # of the same size: Textual's own table stays blank the second time
            table.clear(columns=True)
            table.add_column("")
            table.add_row(Text("hello world"))
            table.render_line(0)
            await pilot.pause()
        await wait_for(pilot, lambda: "hello world" in table.render_line(0).text)
