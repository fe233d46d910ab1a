"""Rows: one row per line, whatever width the text was made for."""

from __future__ import annotations

import pytest
from rich.text import Text
from screen_helpers import screen_text
from textual.app import App, ComposeResult

from medtui.console.widgets.rows import Rows


class OfRows(App[int]):
    def compose(self) -> ComposeResult:
        yield Rows("rows")


@pytest.mark.asyncio
async def test_text_that_was_made_for_a_wider_area_takes_no_row_of_another_line() -> None:
    app = OfRows()
    async with app.run_test(size=(60, 5)) as pilot:
        app.query_one(Rows).update(Text("one " * 12 + "\ntwo"))
        await pilot.resize_terminal(20, 5)
        await pilot.pause()
        lines = [line.rstrip() for line in screen_text(app).splitlines()]  # type: ignore[arg-type]
        assert lines[0].startswith("one one") and lines[1] == "two"
