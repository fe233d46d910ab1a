"""Results: what was trained here, one run in detail, marked runs compared, published values beside them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import DataTable, Input, Static

from engine.contract.errors import MedtuiError
from engine.contract.recipe_file import build_recipe
from engine.contract.run_directory import RunDirectory, read_object
from engine.contract.yaml_reader import read_yaml
from medtui.client.evaluate import later_evaluations
from medtui.client.journal import replay
from medtui.client.keeping import read_labels
from medtui.client.runs import Head, Stamps, heads, stamps
from medtui.client.state import RunState
from medtui.client.view import RunView
from medtui.console.keymap import bindings
from medtui.console.live_plots import auc_drawing
from medtui.console.matrix import read_confusion
from medtui.console.pictures import read_samples
from medtui.console.published import SOURCE, Published, published_for
from medtui.console.recipe_store import TooLarge, read_text
from medtui.console.results_text import Detail, body_text, head_text
from medtui.console.screens import keeping
from medtui.console.screens.room import Room
from medtui.console.widgets.plot import Plot
from medtui.console.widgets.run_table import INSTEAD, SORTS, RunTable, data_words, published_cells, run_cells

LIST_LOOK = 4.0  # seconds


class ListedRuns(Message):
    def __init__(self, found: list[Head]) -> None:
        super().__init__()
        self.found = found


class OldList(Message):
    """What is listed is not how it is any more."""


class Detailed(Message):
    def __init__(self, detail: Detail) -> None:
        super().__init__()
        self.detail = detail


class Results(Room):
    ROOM = "results"
    PANES = (("pane-runs", "runs"), ("pane-detail", "detail"))
    BINDINGS: ClassVar[list[BindingType]] = bindings("results")

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[Head] | None = None
        self.marked: list[str] = []  # run names, in the order of marking
        self.sort = 0
        self.newest_first = True
        self.detail: Detail | None = None
        self._selected: str | None = None
        self._finished: str | None = None
        self._stamps: Stamps = {}  # of what the list was read from

    def compose_body(self) -> ComposeResult:
        with Vertical(id="pane-runs", classes="pane"):
            yield Input(
                placeholder="/ filter: name, data set, model, outcome, tag, note", id="run-filter", compact=True
            )
            yield Static(id="runs-empty", markup=False)
            yield RunTable("runs")
        with Vertical(id="pane-detail", classes="pane"), VerticalScroll(id="detail-scroll"):
            yield Static("reading the runs …", id="detail", markup=False)
            yield Plot(id="detail-plot")
            yield Static(id="detail-body", markup=False)

    def set_up(self) -> None:
        self.query_one(RunTable).focus()
        self.action_refresh_runs()
        self.set_interval(LIST_LOOK, self._look_again)

    def on_screen_resume(self) -> None:
        if self.alive:
            self.action_refresh_runs()

    def show(self, view: RunView | None) -> None:
        super().show(view)
        if self.alive and view is not None and view.outcome is not None and view.run != self._finished:
            self._finished = view.run
            self.action_refresh_runs()

    # ---- the table -------------------------------------------------------------------------------------------------

    @work(thread=True, exit_on_error=False, exclusive=True, group="runs")
    def action_refresh_runs(self) -> None:
        outputs = self._app.workspace.outputs
        self._stamps = stamps(outputs)
        self.post_message(ListedRuns(heads(outputs)))

    @work(thread=True, exit_on_error=False, exclusive=True, group="stamps")
    def _look_again(self) -> None:
        """Runs begin, go on and end in other shells too."""
        if not self.is_current or self.heads is None:
            return
        if not all(head.over for head in self.heads) or stamps(self._app.workspace.outputs) != self._stamps:
            self.post_message(OldList())

    def on_old_list(self) -> None:
        self.action_refresh_runs()

    def on_listed_runs(self, message: ListedRuns) -> None:
        if not self.alive or (message.found == self.heads and self.detail is not None):
            return
        self.heads = message.found
        self.marked = [name for name in self.marked if any(head.run == name for head in message.found)]
        self._fill()

    def _shown(self) -> list[Head]:
        wanted = self.query_one("#run-filter", Input).value.strip().lower()
        found = [head for head in self.heads or [] if wanted in filter_text(head)]
        _, key = SORTS[self.sort]
        return sorted(found, key=key, reverse=self.newest_first)

    def _fill(self) -> None:
        table = self.query_one(RunTable)
        shown = self._shown()
        with self.prevent(DataTable.RowHighlighted):
            rows = {head.run: run_cells(head, marked=head.run in self.marked) for head in shown}
            for one in self._published(shown):
                rows[one.key] = published_cells(one)
            scrolled = table.scroll_y
            table.refill(rows)
            keys = list(rows)
            table.move_cursor(row=keys.index(self._selected) if self._selected in rows else 0)
            if self._selected in rows:
                table.scroll_to(y=scrolled, animate=False)
        order = "↓" if self.newest_first else "↑"
        self.query_one("#pane-runs").border_title = f"runs · {len(shown)} · by {SORTS[self.sort][0]} {order}"
        self.query_one("#runs-empty", Static).display = not rows
        if rows:
            self._select(table.chosen)
        else:
            self._say_empty()

    def _say_empty(self) -> None:
        words = (
            "No run has that in its name, data set, model, outcome, tags or note; esc clears the filter."
            if self.heads
            else "There is no run here yet."
        )
        hint = "1 shows the recipes; r runs the one selected."
        self.query_one("#runs-empty", Static).update(Text(f"{words}\n{hint}"))
        self._show_instead("")

    def _show_instead(self, words: str) -> None:
        """No run's detail, but this."""
        self.detail = None
        self.query_one("#detail", Static).update(Text(words))
        self.query_one("#detail-body", Static).update("")
        self.query_one("#detail-plot").display = False

    def _published(self, shown: list[Head]) -> list[Published]:
        found: list[Published] = []
        for dataset, size in dict.fromkeys((head.dataset, head.size) for head in shown if head.comparable):
            found += published_for(dataset or "", size or 0)
        return found

    @on(DataTable.RowHighlighted, "#runs")
    def _highlighted(self, event: DataTable.RowHighlighted) -> None:
        self._select(str(event.row_key.value))

    @on(DataTable.RowSelected, "#runs")
    def _opened(self) -> None:
        self.show_only(1)
        self.query_one("#detail-scroll").focus()

    def _select(self, key: str | None) -> None:
        head = self._head(key)
        before, self._selected = self._selected, key
        if head is None:
            self._show_instead(f"Published, not run here: {SOURCE}.")
        elif key != before or self.detail is None or self.detail.head != head:
            self._load(head)

    def _head(self, name: str | None) -> Head | None:
        return next((head for head in self.heads or [] if head.run == name), None)

    def _chosen(self) -> Head | None:
        """The run under the cursor. Of the table, not of what was told of it: keys may come faster."""
        head = self._head(self.query_one(RunTable).chosen)
        if head is None:
            self._app.say("Choose a run first.")
        return head

    @on(DataTable.HeaderSelected, "#runs")
    def _sort_by(self, event: DataTable.HeaderSelected) -> None:
        title = str(event.column_key.value)
        names = [name for name, _ in SORTS]
        title = INSTEAD.get(title, title)
        if title == names[self.sort]:
            self.action_reverse()
        elif title in names:
            self.sort = names.index(title)
            self._fill()

    @on(Input.Changed, "#run-filter")
    def _filtered(self) -> None:
        self._fill()

    @on(Input.Submitted, "#run-filter")
    def _filter_done(self) -> None:
        self.query_one(RunTable).focus()

    # ---- the detail ------------------------------------------------------------------------------------------------

    @work(thread=True, exit_on_error=False, exclusive=True, group="detail")
    def _load(self, head: Head) -> None:
        self.post_message(Detailed(load_detail(head, self._app.recipe_model)))

    def on_detailed(self, message: Detailed) -> None:
        if message.detail.head.run != self._selected:
            return
        self.detail = message.detail
        self._show_detail()

    def _show_detail(self) -> None:
        detail = self.detail
        if detail is None or not self.alive:
            return
        shown = self.query_one("#detail-scroll").size.width or self.size.width - 2  # behind, it has no size
        width = max(40, shown - 3)
        self.query_one("#detail", Static).update(head_text(detail, width))
        plot = self.query_one("#detail-plot", Plot)
        plot.display = bool(detail.state.epochs)
        plot.show(auc_drawing(RunView(state=detail.state), "epoch"))
        self.query_one("#detail-body", Static).update(body_text(detail, width))

    def on_resize(self) -> None:
        if self.alive:
            self.call_after_refresh(self._show_detail)

    # ---- actions ---------------------------------------------------------------------------------------------------

    def choose(self, name: str) -> None:
        """Show this run as soon as the runs are known."""
        self._selected = name
        if self.alive and self.heads is not None:
            self._fill()

    def action_filter(self) -> None:
        self.show_only(0)
        self.query_one("#run-filter", Input).focus()

    def action_sort(self) -> None:
        self.sort = (self.sort + 1) % len(SORTS)
        self._fill()

    def action_reverse(self) -> None:
        self.newest_first = not self.newest_first
        self._fill()

    def action_mark(self) -> None:
        table, head = self.query_one(RunTable), self._chosen()
        if head is None:
            return
        if head.run in self.marked:
            self.marked.remove(head.run)
        else:
            self.marked.append(head.run)
        table.mark(head.run, run_cells(head, marked=head.run in self.marked))
        table.action_cursor_down()

    @work(exclusive=True, group="compare")
    async def action_compare(self) -> None:
        found = [head for name in self.marked if (head := self._head(name)) is not None]
        if len(found) < 2:
            self._app.say("Mark two runs or more with space, then compare them.")
            return
        from medtui.console.screens.compare import Compare

        load = partial(load_detail, model=self._app.recipe_model)
        self.app.push_screen(Compare(await asyncio.gather(*(asyncio.to_thread(load, head) for head in found))))

    def action_open_recipe(self) -> None:
        if (head := self._chosen()) is not None:
            self._app.open_recipe(RunDirectory(head.run_dir).recipe)

    # ---- what is done with a run that is over ------------------------------------------------------------------------

    def action_tag(self) -> None:
        self._do(keeping.tag)

    def action_note(self) -> None:
        self._do(keeping.note)

    def action_archive(self) -> None:
        self._do(keeping.archive)

    def action_delete(self) -> None:
        self._do(keeping.delete)

    def action_resume_run(self) -> None:
        self._do(keeping.resume)

    def action_evaluate(self) -> None:
        self._do(keeping.evaluate_again)

    @work
    async def _do(self, ask: keeping.Ask) -> None:
        """Ask, do it, say what was done, look at the runs again."""
        head = self._chosen()
        if head is None:
            return
        if self._app.readonly:
            self._app.say("Read only: nothing can be changed.", severity="warning")
            return
        try:
            words = await ask(self._app, RunDirectory(head.run_dir))
        except MedtuiError as error:
            self._app.say(str(error), severity="error")
            return
        if words:
            self._app.say(words)
            self.detail = None  # also what does not stand in the list is read again
            self.action_refresh_runs()

    def action_watch(self) -> None:
        head = self._chosen()
        if head is not None and self._app.attach_to(head.run):
            self._app.go_to("live")

    def action_section(self, by: int) -> None:
        """A screenful further in the detail; from the end back to its start. Where it was hidden, it is shown."""
        if self.has_class("-narrow") and self.current_pane != 1:
            self.show_only(1)
            return
        self.show_only(1)
        scroll = self.query_one("#detail-scroll", VerticalScroll)
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


def filter_text(head: Head) -> str:
    """What the filter looks in."""
    words = (head.run, head.state, head.model or "", data_words(head), *head.labels.tags, head.labels.note)
    return " ".join(words).lower()


def load_detail(head: Head, model: Any) -> Detail:
    """Read all of a run; what cannot be read is empty."""
    run = RunDirectory(head.run_dir)
    try:
        state = replay(run.journal)
    except OSError:
        state = RunState()
    try:
        text = read_text(run.recipe)
    except (OSError, UnicodeDecodeError, TooLarge) as error:
        text = f"cannot be read: {error}"
    try:
        recipe = build_recipe(read_yaml(text).values, model=model)
    except MedtuiError:
        recipe = None
    return Detail(
        head=head,
        state=state,
        manifest=read_object(run.manifest) or {},
        confusion=read_confusion(run),
        samples=read_samples(run),
        recipe_text=text,
        recipe=recipe,
        labels=read_labels(run),
        later=later_evaluations(run),
    )
