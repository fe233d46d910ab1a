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


@pytest.mark.asyncio
async def test_the_cursor_stays_in_sight_when_cells_grow_and_when_the_table_shrinks() -> None:
    class OneTable(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable(cursor_type="cell", show_row_labels=True)

    app = OneTable()
    async with app.run_test(size=(60, 10)) as pilot:
        table = app.query_one(DataTable)

        def in_sight() -> bool:
            left, right = table.scroll_x, table.scroll_x + table.size.width
            cell = table._get_cell_region(table.cursor_coordinate)
            return left <= cell.x and cell.right <= right

        for number in range(6):
            table.add_column(f"column {number}", key=str(number))
        table.add_row(*[Text("")] * 6, key="row", label=Text("label"))
        table.move_cursor(row=0, column=5)
        await pilot.pause()
        for number in range(6):
            table.update_cell("row", str(number), Text("a long value 1234"), update_width=True)
        table.move_cursor(row=0, column=5)
        await wait_for(pilot, in_sight)
        assert table.scroll_x > 0
        await pilot.resize_terminal(30, 10)
        await wait_for(pilot, lambda: table.size.width <= 30 and in_sight())


@pytest.mark.asyncio
async def test_a_row_that_was_drawn_before_it_was_measured_keeps_its_label() -> None:
    class OneTable(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable(show_row_labels=True)

    app = OneTable()
    async with app.run_test(size=(60, 10)) as pilot:
        table = app.query_one(DataTable)
        for _ in range(2):
            table.clear(columns=True)
            table.add_column("column")
            table.add_row(Text("cell"), label=Text("mini_cnn"))
            table.render_line(1)
            await pilot.pause()
        await wait_for(pilot, lambda: "mini_cnn" in table.render_line(1).text)
