"""Results: runs of the workspace, one run in detail, comparison of marked runs, published values."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from engine.contract.data.published import Published, references
from engine.contract.store.run_directory import RunDirectory, list_runs
from medtui.client.run_index import run_rows
from medtui.client.run_row import RunRow
from medtui.client.runs import Stamps, stamps
from medtui.client.view import RunView
from medtui.console.results import run_actions
from medtui.console.results.columns import ChooseColumns, known_columns, limited
from medtui.console.results.detail import load_detail
from medtui.console.results.detail_view import DetailView
from medtui.console.results.filter_field import FilterField
from medtui.console.results.run_table import (
    INSTEAD,
    SORTS,
    Cells,
    RunTable,
    arranged,
    common_data,
    published_cells,
    run_cells,
)
from medtui.console.results.text import Detail, describe_no_runs, describe_published
from medtui.console.shell.app_context import key_of
from medtui.console.shell.base import BaseScreen
from medtui.console.shell.keymap import bindings
from medtui.console.shell.plain import Static, border_subtitle, border_title
from medtui.console.widgets.stored_pictures import room_for
from medtui.console.widgets.table import DataTable

POLL_LIST_EVERY = 4.0  # seconds


class ListedRuns(Message):
    def __init__(self, found: list[RunRow], archived: bool, stamps: Stamps) -> None:
        super().__init__()
        self.found, self.archived = found, archived  # are there archived runs, where none was found?
        self.stamps = stamps  # of the files before they were read


class RunsChanged(Message):
    """The list is out of date."""


class Detailed(Message):
    def __init__(self, detail: Detail) -> None:
        super().__init__()
        self.detail = detail


class Results(BaseScreen):
    SCREEN_NAME = "results"
    CSS_PATH = "styles.tcss"
    PANES = (("pane-runs", "runs"), ("pane-detail", "detail"))
    BINDINGS: ClassVar[list[BindingType]] = bindings("results")

    def __init__(self) -> None:
        super().__init__()
        self.run_rows: list[RunRow] | None = None
        self._archived = False
        self.sort = 0
        self.newest_first = True
        self.columns: tuple[str, ...] = ()  # chosen; else those that tell most
        self.detail: Detail | None = None
        self._selected: str | None = None
        self._finished: str | None = None
        self._stamps: Stamps = {}  # of the files behind the list

    def compose_body(self) -> ComposeResult:
        with Vertical(id="pane-runs", classes="pane"):
            yield FilterField()
            yield Static(id="runs-empty")
            yield RunTable("runs")
        with Vertical(id="pane-detail", classes="pane"):
            yield DetailView(id="detail-scroll")

    def set_up(self) -> None:
        self._recall()
        self.query_one(RunTable).focus()
        self.action_refresh_runs()
        self.set_interval(POLL_LIST_EVERY, self._poll_runs)

    def on_screen_resume(self) -> None:
        if self.alive:
            self.action_refresh_runs()

    def show(self, view: RunView | None) -> None:
        super().show(view)
        if self.alive and view is not None and view.outcome is not None and view.run != self._finished:
            self._finished = view.run
            self.action_refresh_runs()

    # ---- what is remembered ----------------------------------------------------------------------------------------

    def _recall(self) -> None:
        """What keys chose in an earlier console."""
        kept, names = self._app.preferences, [name for name, _ in SORTS]
        sort = kept.get("results_sort")
        self.sort = names.index(sort) if sort in names else 0
        self.newest_first = kept.get("results_newest_first") is not False
        self.columns = known_columns(kept.get("results_columns"))

    def _arrange(self) -> None:
        """As the keys chose now, and for the next console."""
        self._fill()
        self._app.preferences.keep(
            results_sort=SORTS[self.sort][0],
            results_newest_first=self.newest_first,
            results_columns=list(self.columns),
        )

    # ---- the table -------------------------------------------------------------------------------------------------

    def action_refresh_runs(self) -> None:
        self.readings.start("runs", self._list_runs)

    def _list_runs(self) -> ListedRuns:
        outputs = self._app.workspace.outputs
        before = stamps(outputs)
        found = run_rows(outputs)
        return ListedRuns(found, not found and bool(list_runs(self._app.workspace.archive)), before)

    def _poll_runs(self) -> None:
        """Runs may start, continue and end in other shells, too."""
        if self.is_current and self.run_rows is not None:
            self.readings.start("stamps", self._look_for_changes)

    def _look_for_changes(self) -> RunsChanged | None:
        all_over = all(run_row.over for run_row in self.run_rows or [])
        return RunsChanged() if not all_over or stamps(self._app.workspace.outputs) != self._stamps else None

    def on_runs_changed(self) -> None:
        self.action_refresh_runs()

    def on_listed_runs(self, message: ListedRuns) -> None:
        self._stamps = message.stamps
        if not self.alive or (message.found == self.run_rows and self.detail is not None):
            return
        self.run_rows, self._archived = message.found, message.archived
        self._app.marked_runs = self._app.marked_runs.kept({run_row.run for run_row in message.found})
        self._fill()

    def _shown(self) -> list[RunRow]:
        _, key = SORTS[self.sort]
        return sorted(
            self.query_one(FilterField).run_filter.of(self.run_rows or []), key=key, reverse=self.newest_first
        )

    def _cells(self, run_row: RunRow) -> Cells:
        mark = self._app.marked_runs.mark_of(run_row.run)
        return run_cells(run_row, mark, dark=self.app.current_theme.dark)

    def _fill(self) -> None:
        table = self.query_one(RunTable)
        shown = self._shown()
        with self.prevent(DataTable.RowHighlighted):
            rows = {run_row.run: self._cells(run_row) for run_row in shown}
            subsets = any(not run_row.comparable for run_row in shown)
            arrangement = limited(arranged(rows.values(), subsets=subsets), self.columns, subsets=subsets)
            for one in self._published(shown):
                rows[one.key] = published_cells(one)
            scrolled = table.scroll_y
            if not table.holds(rows, arrangement):
                table.refill(rows, arrangement)
            keys = list(rows)
            table.move_cursor(row=keys.index(self._selected) if self._selected in rows else 0)
            if self._selected in rows:
                table.scroll_to(y=scrolled, animate=False)
        order = "↓" if self.newest_first else "↑"
        n_runs = len(self.run_rows or [])
        count = f"{len(shown)} of {n_runs}" if len(shown) != n_runs else f"{n_runs}"
        words = ["runs", count, common_data(shown), f"by {SORTS[self.sort][0]} {order}"]
        border_title(self.query_one("#pane-runs"), " · ".join(filter(None, words)))
        self.query_one("#runs-empty", Static).display = not rows
        if rows:
            self._select(table.chosen)
        else:
            self._show_empty()

    def _show_empty(self) -> None:
        clears = f"{key_of(self, 'view.back')} clears the filter"
        words = f"No matches; {clears}." if self.run_rows else describe_no_runs(archived=self._archived)
        hint = f"{key_of(self, 'go.recipes')} shows the recipes; {key_of(self, 'recipes.run')} runs the selected one."
        self.query_one("#runs-empty", Static).update(Text(f"{words}\n{hint}"))
        self._show_instead("")

    def _show_instead(self, words: str) -> None:
        """Show this text instead of a run's detail."""
        self.detail = None
        self.query_one(DetailView).show_instead(words)

    def _published(self, shown: list[RunRow]) -> list[Published]:
        found: list[Published] = []
        for dataset, size in dict.fromkeys((run_row.dataset, run_row.size) for run_row in shown if run_row.comparable):
            found += references(dataset or "", size or 0)
        return found

    @on(DataTable.RowHighlighted, "#runs")
    def _highlighted(self, event: DataTable.RowHighlighted) -> None:
        self._select(str(event.row_key.value))

    @on(DataTable.RowSelected, "#runs")
    def action_open(self) -> None:
        """The run alone, on all of the screen."""
        if self._chosen() is not None:
            self.set_opened(True)
            self.show_only(1)
            self.query_one("#detail-scroll").focus()

    def set_opened(self, opened: bool) -> None:
        self.set_class(opened, "-opened")
        pane = self.query_one("#pane-detail")
        border_title(pane, self._selected or "detail" if opened else "detail")
        border_subtitle(pane, f"{key_of(self, 'view.back')}: back to the list" if opened else "")
        self.call_after_refresh(self._show_detail)

    def show_only(self, number: int) -> None:
        if number % len(self.PANES) == 0 and self.has_class("-opened"):
            self.set_opened(False)
        super().show_only(number)

    def _select(self, key: str | None) -> None:
        run_row = self._find_run_row(key)
        before, self._selected = self._selected, key
        if run_row is None:
            self._show_instead(describe_published(key))
        elif key != before or self.detail is None or self.detail.run_row != run_row:
            self._load(run_row)

    def _find_run_row(self, name: str | None) -> RunRow | None:
        return next((run_row for run_row in self.run_rows or [] if run_row.run == name), None)

    def _chosen(self) -> RunRow | None:
        """The run under the cursor. From the table, not from its messages: keys may come faster."""
        run_row = self._find_run_row(self.query_one(RunTable).chosen)
        if run_row is None:
            self._app.show_toast("Select a run first.")
        return run_row

    @on(DataTable.HeaderSelected, "#runs")
    def _sort_by(self, event: DataTable.HeaderSelected) -> None:
        title = str(event.column_key.value)
        names = [name for name, _ in SORTS]
        title = INSTEAD.get(title, title)
        if title == names[self.sort]:
            self.action_reverse()
        elif title in names:
            self.sort = names.index(title)
            self._arrange()

    def on_filter_field_changed(self) -> None:
        self._fill()

    def on_filter_field_done(self) -> None:
        self.query_one(RunTable).focus()

    def _focus_in(self, id_: str) -> None:
        """The runs, not the filter above them: keys are commands there."""
        if id_ == "pane-runs":
            self.query_one(RunTable).focus()
        else:
            super()._focus_in(id_)

    # ---- the detail ------------------------------------------------------------------------------------------------

    def _load(self, run_row: RunRow) -> None:
        room = room_for(self, self.size.width - 8)
        self.readings.start("detail", lambda: Detailed(load_detail(run_row, self._app.recipe_model, room)))

    def on_detailed(self, message: Detailed) -> None:
        if message.detail.run_row.run != self._selected:
            return
        self.detail = message.detail
        self._show_detail()

    def _show_detail(self) -> None:
        detail = self.detail
        if detail is None or not self.alive:
            return
        self.query_one(DetailView).show(detail, self.size.width - 2)

    def on_resize(self) -> None:
        if self.alive:
            self.call_after_refresh(self._show_detail)

    # ---- actions ---------------------------------------------------------------------------------------------------

    def choose(self, name: str) -> None:
        """Select this run as soon as it is in the list; no filter hides it."""
        self._selected = name
        if not self.alive:
            return
        self.query_one(FilterField).field.value = ""
        if self._find_run_row(name) is not None:
            self._fill()

    def action_filter(self) -> None:
        self.show_only(0)
        self.query_one("#run-filter", Input).focus()

    def action_sort(self) -> None:
        self.sort = (self.sort + 1) % len(SORTS)
        self._arrange()

    def action_reverse(self) -> None:
        self.newest_first = not self.newest_first
        self._arrange()

    @work
    async def action_columns(self) -> None:
        chosen = await self.app.push_screen_wait(ChooseColumns(self.columns))
        if chosen is not None:
            self.columns = tuple(chosen)
            self._arrange()

    def action_mark(self) -> None:
        table, run_row = self.query_one(RunTable), self._chosen()
        if run_row is None:
            return
        before = self._app.marked_runs
        self._app.marked_runs = before.toggled(run_row.run)
        if before == self._app.marked_runs:
            self._app.show_toast(f"At most {len(before)} runs can be marked.", severity="warning")
        table.mark(run_row.run, self._cells(run_row))
        table.action_cursor_down()

    @work(exclusive=True, group="compare")
    async def action_compare(self) -> None:
        marks = [mark for mark in self._app.marked_runs.marks if self._find_run_row(mark.run) is not None]
        if len(marks) < 2:
            self._app.show_toast(f"Mark two or more runs with {key_of(self, 'results.mark')}, then compare them.")
            return
        from medtui.console.results.compare import Compare

        found = [run_row for mark in marks if (run_row := self._find_run_row(mark.run)) is not None]
        load = partial(load_detail, model=self._app.recipe_model)
        details = await asyncio.gather(*(asyncio.to_thread(load, run_row) for run_row in found))
        self.app.push_screen(Compare(list(zip(marks, details, strict=True))))

    @work(exclusive=True, group="predict")
    async def action_predict(self) -> None:
        if (run_row := self._chosen()) is not None:
            from medtui.console.results.predict import predict_images

            await predict_images(self._app, RunDirectory(run_row.run_dir))

    def action_open_recipe(self) -> None:
        if (run_row := self._chosen()) is not None:
            self._app.open_recipe(RunDirectory(run_row.run_dir).recipe.path)

    # ---- actions on a finished run -----------------------------------------------------------------------------------

    def action_tag(self) -> None:
        self._do(run_actions.tag)

    def action_note(self) -> None:
        self._do(run_actions.note)

    def action_archive(self) -> None:
        self._do(run_actions.archive)

    def action_delete(self) -> None:
        self._do(run_actions.delete)

    def action_resume_run(self) -> None:
        self._do(run_actions.resume)

    def action_evaluate(self) -> None:
        self._do(run_actions.evaluate_again)

    @work
    async def _do(self, ask: run_actions.Ask) -> None:
        """Ask, act, report, and reload the runs."""
        run_row = self._chosen()
        if run_row is None:
            return
        if await self.carry_out(lambda: ask(self._app, RunDirectory(run_row.run_dir))):
            self.detail = None  # reloads also what the list does not show
            self.action_refresh_runs()

    def action_watch(self) -> None:
        run_row = self._chosen()
        if run_row is not None and self._app.attach_to(run_row.run):
            self._app.go_to("live")

    def action_section(self, by: int) -> None:
        """Scroll the detail by a page; from the end back to the start. Shows it where it was hidden."""
        if self.has_class("-narrow") and self.current_pane != 1:
            self.show_only(1)
            return
        self.show_only(1)
        scroll = self.query_one(DetailView)
        if scroll.scroll_y >= scroll.max_scroll_y:
            scroll.scroll_home(animate=False)
        else:
            scroll.scroll_page_down(animate=False)

    def action_back(self) -> None:
        field = self.query_one("#run-filter", Input)
        if field.value and (field.has_focus or self.query_one(RunTable).has_focus):
            field.value = ""
            return
        self.show_only(0)
        self.query_one(RunTable).focus()
