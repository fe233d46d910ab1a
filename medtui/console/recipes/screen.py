"""Recipes: choose one, edit it as a form or as text, preview its run, start it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, TextArea

from engine.contract.files.paths import expanded, is_there
from engine.contract.recipe.schema import FieldSpec
from engine.contract.wire.errors import MedtuiError, Problem
from medtui.client.recipe_document import Checked, check, with_value
from medtui.console.recipes.document import Document, Entry
from medtui.console.recipes.drafts import Drafts
from medtui.console.recipes.form import RecipeForm, field_help
from medtui.console.recipes.open_recipes import OpenRecipes
from medtui.console.recipes.recipe_list import RecipeList
from medtui.console.recipes.store import changed_on_disk, entries
from medtui.console.recipes.text import format_problem, preflight_text
from medtui.console.recipes.yaml_area import YamlArea
from medtui.console.shell.app_context import key_of
from medtui.console.shell.base import BaseScreen
from medtui.console.shell.dialogs import AskText, Question
from medtui.console.shell.keymap import bindings
from medtui.console.shell.opening import PANES
from medtui.console.shell.plain import OptionList, Static, border_title
from medtui.console.shell.text_file import TooLarge
from medtui.settings import settings_file
from medtui.text import clean

if TYPE_CHECKING:
    from medtui.client.preflight import Preflight

SETTLE = 0.15  # seconds after the last key before the text is checked
PREFLIGHT_AFTER = 0.4  # seconds
POLL_DISK_EVERY = 2.0  # seconds
POLL_LIST_EVERY = 4.0  # seconds
SMALL = 32 * 1024  # characters that are checked at once; a larger text is checked by a worker


class Listed(Message):
    def __init__(self, found: list[Entry]) -> None:
        super().__init__()
        self.found = found


class Preflighted(Message):
    def __init__(self, text: str, found: Preflight | None) -> None:
        super().__init__()
        self.text, self.found = text, found


class CheckedText(Message):
    def __init__(self, checked: Checked) -> None:
        super().__init__()
        self.checked = checked


class Recipes(BaseScreen):
    SCREEN_NAME = "recipes"
    PANES = PANES
    BINDINGS: ClassVar[list[BindingType]] = bindings("recipes")

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.checked: Checked | None = None
        self.preflight: Preflight | None = None
        self._preflight_text = ""  # the text that the preflight was for
        self.open_recipes = OpenRecipes(Drafts(settings_file().parent / "drafts"))
        self._open_next: Path | None = None
        self._shown = ""  # the text that the editor was given or has reported
        self._before_edit: str | None = None  # the text when a field was opened
        self._typing = False  # was the last change typed into that field?
        self._settle: Timer | None = None
        self._preflight_timer: Timer | None = None
        self._draft_timer: Timer | None = None

    def compose_body(self) -> ComposeResult:
        with Vertical(id="pane-list", classes="pane"):
            yield Input(placeholder="/ filter", id="recipe-filter", compact=True)
            yield RecipeList(id="recipe-list", compact=True)
        with Vertical(id="pane-form", classes="pane"):
            yield RecipeForm(self._app.recipe_model, id="form")
            yield Static(id="field-help")
        with Vertical(id="pane-yaml", classes="pane"):
            yield YamlArea(id="yaml")
        with VerticalScroll(id="pane-before", classes="pane"):
            yield Static("loading …", id="before")

    async def complete(self) -> None:
        await self.query_one(RecipeForm).fill()

    def set_up(self) -> None:
        self.query_one(YamlArea).read_only = self._app.readonly
        self._list()
        self.set_interval(POLL_DISK_EVERY, self._poll_disk)
        self.set_interval(POLL_LIST_EVERY, self._poll_list)
        self.query_one(RecipeList).focus()

    def on_screen_resume(self) -> None:
        if self.entries:
            self._list()
            self._run_preflight()  # data may have been fetched in the meantime

    @property
    def current(self) -> Document | None:
        """The document that form and text show."""
        return self.open_recipes.current

    # ---- the list --------------------------------------------------------------------------------------------------

    @work(thread=True, exit_on_error=False, exclusive=True, group="list")
    def _list(self) -> None:
        self.post_message(Listed(entries(self._app.workspace, self.open_recipes.drafts)))

    def _poll_list(self) -> None:
        """Recipes and runs may come from other shells, too."""
        if self.is_current:
            self._list()

    def on_listed(self, message: Listed) -> None:
        if not self.alive:
            return
        if message.found == self.entries and self._open_next is None:
            return
        self.entries = message.found
        self._fill_list()
        requested = self._open_next
        self._open_next = None
        if requested is not None:
            self.open_path(requested)
        elif self.current is None and self.entries:
            self._open(self.entries[0])

    def _fill_list(self) -> None:
        requested = self.query_one("#recipe-filter", Input).value.strip().lower()
        found = [entry for entry in self.entries if requested in entry.name.lower()]
        self.query_one(RecipeList).fill(
            found, self.open_recipes.dirty, self.current.entry.key if self.current else None
        )

    def _mark_row(self, document: Document) -> None:
        self.query_one(RecipeList).mark(document.entry, document.dirty)

    @on(OptionList.OptionHighlighted, "#recipe-list")
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        entry = next((entry for entry in self.entries if entry.key == event.option_id), None)
        if entry is not None and (self.current is None or self.current.entry != entry):
            self._open(entry)

    @on(OptionList.OptionSelected, "#recipe-list")
    def _selected(self) -> None:
        self.action_focus_form()

    @on(Input.Changed, "#recipe-filter")
    def _filtered(self) -> None:
        self._fill_list()

    @on(Input.Submitted, "#recipe-filter")
    def _filter_done(self) -> None:
        self.query_one(RecipeList).choose_one()

    # ---- documents -------------------------------------------------------------------------------------------------

    def open_path(self, path: Path) -> None:
        """Show the recipe of a path; Results calls this."""
        entry = next((entry for entry in self.entries if entry.path == path), None)
        if entry is None and not self.entries:
            self._open_next = path
            return
        self._open(entry or Entry(path.parent.name, path, "run"))

    def _open(self, entry: Entry) -> None:
        try:
            document, restored = self.open_recipes.open(entry)
        except (OSError, UnicodeDecodeError, TooLarge) as error:
            self._app.show_toast(f"{entry.path} cannot be read: {error}", severity="error")
            return
        if restored:
            self._app.show_toast(f"Unsaved edits of {entry.name} were restored. {' '.join(document.notes)}")
        self._show_text(lambda area: area.load_text(document.text))
        border_title(self.query_one("#pane-yaml"), clean(entry.path.name, 40))
        self.preflight = None
        self._check()
        self._mark_row(document)

    def _set_text(self, text: str) -> None:
        assert self.current is not None
        self.current.text = text
        self._mark_row(self.current)
        self._draft_later()

    @on(RecipeForm.Edited)
    def _form_edited(self, event: RecipeForm.Edited) -> None:
        if self.current is None or self._app.readonly:
            return
        self._take_typed()
        try:
            text = with_value(self.current.text, event.spec.section, event.spec.name, event.value)
        except MedtuiError as error:
            self._app.show_toast(f"The form cannot change this text: {error}", severity="warning")
            return
        self._become(text, instead=event.typing and self._typing)
        self._typing = event.typing

    def _become(self, text: str, *, instead: bool = False) -> None:
        """`instead`: one undo reverts this and the previous change."""
        self._show_text(lambda area: area.become(text, instead=instead))
        self._set_text(text)
        self._check()

    def _show_text(self, change: Callable[[YamlArea], None]) -> None:
        """In the text editor, without counting as typed."""
        area = self.query_one(YamlArea)
        with self.prevent(TextArea.Changed):
            change(area)
        self._shown = area.text

    @on(RecipeForm.Began)
    def _edit_began(self) -> None:
        self._take_typed()
        self._before_edit = self.current.text if self.current is not None else None
        self._typing = False

    @on(RecipeForm.TakenBack)
    def _edit_taken_back(self) -> None:
        if self.current is not None and self._before_edit is not None:
            self._become(self._before_edit, instead=self._typing)
            self._typing = False

    @on(RecipeForm.Chosen)
    def _field_focused(self, event: RecipeForm.Chosen) -> None:
        self._show_help(event.spec)

    def _show_help(self, spec: FieldSpec) -> None:
        problem = self.checked.problem((spec.section, spec.name)) if self.checked else None
        self.query_one("#field-help", Static).update(field_help(spec, problem))

    @on(TextArea.Changed, "#yaml")
    def _text_edited(self) -> None:
        if self._take_typed():
            if self._settle is not None:
                self._settle.stop()
            self._settle = self.set_timer(SETTLE, self._check)

    def _take_typed(self) -> bool:
        """The editor's text is the recipe, even while its message is in the queue. True if it is new."""
        text = self.query_one(YamlArea).text
        if self.current is None or text == self._shown:
            return False
        self._shown = text
        self._set_text(text)
        return True

    @on(events.DescendantBlur)
    def _text_left(self, event: events.DescendantBlur) -> None:
        """The form is up to date before it can be used."""
        if isinstance(event.widget, YamlArea) and self.current is not None:
            self._take_typed()
            if self.checked is None or self.checked.text != self.current.text:
                self._check()

    # ---- checks ----------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self.current is None or not self.alive:
            return
        if len(self.current.text) > SMALL:
            self._check_in_worker(self.current.text, self.current.entry.path.name)
        else:
            self._take(check(self.current.text, self.current.entry.path.name, self._app.recipe_model))

    @work(thread=True, exit_on_error=False, exclusive=True, group="check")
    def _check_in_worker(self, text: str, name: str) -> None:
        self.post_message(CheckedText(check(text, name, self._app.recipe_model)))

    def on_checked_text(self, message: CheckedText) -> None:
        self._take(message.checked)

    def _take(self, checked: Checked) -> None:
        if self.current is None or checked.text != self.current.text:
            return
        self.checked = checked
        form = self.query_one(RecipeForm)
        form.show(checked)
        if form.has_focus or form.field is not None:
            self._show_help(form.rows[form.cursor].spec)
        self.query_one(YamlArea).show_problems(checked.problems)
        self._show_preflight()
        if self._preflight_timer is not None:
            self._preflight_timer.stop()
        self._preflight_timer = self.set_timer(PREFLIGHT_AFTER, self._run_preflight)

    @work(thread=True, exit_on_error=False, exclusive=True, group="preflight")
    def _run_preflight(self) -> None:
        from medtui.client.preflight import preflight  # not before the first frame

        checked = self.checked
        if checked is None or checked.recipe is None:
            return
        found = preflight(checked.recipe, self._app.workspace, self._app.data, self._app.today())
        self.post_message(Preflighted(checked.text, found))

    def on_preflighted(self, message: Preflighted) -> None:
        if self.current is not None and message.text == self.current.text:
            self.preflight, self._preflight_text = message.found, message.text
            self._show_preflight()

    def _show_preflight(self) -> None:
        if self.current is None or self.checked is None or not self.alive:
            return
        ready = self.preflight if self.checked.recipe is not None else None
        words = preflight_text(
            self.current,
            self.checked,
            ready,
            self._saved_recipe(),
            stale=self._preflight_text != self.current.text,
            actions=self._app.actions,
        )
        self.query_one("#before", Static).update(words)

    def _saved_recipe(self) -> Checked | None:
        assert self.current is not None
        if not self.current.dirty:
            return None
        return check(self.current.saved, self.current.entry.path.name, self._app.recipe_model)

    # ---- files -----------------------------------------------------------------------------------------------------

    def _poll_disk(self) -> None:
        document = self.current
        if document is None or document.entry.kind == "run":
            return
        fresh = changed_on_disk(document)
        if fresh is None or fresh == document.fresh_on_disk:
            return
        if not document.dirty:
            self._take_from_disk(document, fresh)
            self._app.show_toast(f"{document.entry.name} changed on disk and was reloaded.")
            return
        document.fresh_on_disk = fresh
        self._show_preflight()
        self._app.show_toast(f"{document.entry.name} changed on disk while you were editing it.", severity="warning")

    def _take_from_disk(self, document: Document, fresh: str) -> None:
        self.open_recipes.take_from_disk(document, fresh)
        if document is self.current:
            self._show_text(lambda area: area.become(fresh))
            self._mark_row(document)
            self._check()

    def _draft_later(self) -> None:
        if self._draft_timer is None:
            self._draft_timer = self.set_timer(0.5, self._keep_drafts)

    def _keep_drafts(self) -> None:
        self._draft_timer = None
        self.keep_drafts()

    def keep_drafts(self) -> None:
        """Write unsaved edits to disk. Small files; also called when the console ends."""
        try:
            self.open_recipes.keep_drafts()
        except (OSError, ValueError) as error:
            self._app.show_toast(f"Unsaved edits could not be saved as drafts: {error}", severity="warning")

    def on_unmount(self) -> None:
        self.keep_drafts()

    # ---- actions ---------------------------------------------------------------------------------------------------

    def action_run(self) -> None:
        if self.checked is None or self.current is None:
            return
        self._take_typed()
        self._check()
        if self.checked.text != self.current.text:
            run = key_of(self, "recipes.run")
            self._app.show_toast(f"The recipe is still being checked; press {run} again.", severity="warning")
            return
        if self.checked.recipe is None:
            self._app.show_toast(
                "Correct the recipe first: " + format_problem(self.checked.problems[0]), severity="warning"
            )
            self._focus_problem(self.checked.problems[0])
            return
        try:
            self._app.start_run(self.checked.recipe.model_dump(mode="json"))
        except MedtuiError as error:
            self._app.show_toast(str(error), severity="warning")

    def _focus_problem(self, problem: Problem) -> None:
        form = self.query_one(RecipeForm)
        if len(problem.path) == 2 and form.go_to(*problem.path):
            self._show_pane_of("pane-form")
            self.set_focus(form)
        elif problem.line is not None:
            area = self.query_one(YamlArea)
            area.move_cursor((problem.line - 1, 0))

    @work
    async def action_save(self) -> None:
        document = self.current
        if document is None or self._app.readonly:
            return
        path = document.entry.path
        if document.entry.kind != "workspace":
            name = path.stem if document.entry.kind == "shipped" else document.entry.name
            default = self._app.workspace.root / f"{name}.yaml"
            words = "Shipped recipes and those of runs are read-only. Save your edits as:"
            answer = await self.app.push_screen_wait(AskText(words, str(default)))
            if not answer:
                return
            path = expanded(answer)
            if is_there(path) and not await self._sure(f"{path.name} already exists.", "overwrite it"):
                return
        elif (fresh := changed_on_disk(document)) is not None:
            answers = [("stay", "keep editing"), ("theirs", "load the file"), ("mine", "overwrite the file")]
            answer = await self.app.push_screen_wait(Question(f"{path.name} has changed on disk.", answers))
            if answer == "theirs":
                self._take_from_disk(document, fresh)
            if answer != "mine":
                return
        self._write(document, path)

    async def _sure(self, words: str, yes: str) -> bool:
        return await self.app.push_screen_wait(Question(words, [("no", "no"), ("yes", yes)])) == "yes"

    def _write(self, document: Document, path: Path) -> None:
        try:
            saved = self.open_recipes.save(document, path)
        except OSError as error:
            self._app.show_toast(f"Cannot save {path}: {error.strerror}", severity="error")
            return
        border_title(self.query_one("#pane-yaml"), clean(path.name, 40))
        problems = " It has problems and cannot run yet." if self.checked and self.checked.problems else ""
        self._app.show_toast(f"Saved {path.name}.{problems}")
        self._mark_row(saved)
        self._check()
        self._list()

    @work
    async def action_revert(self) -> None:
        document = self.current
        if document is None or not document.dirty:
            return
        if await self._sure(f"Discard the unsaved edits of {clean(document.entry.name, 40)}?", "discard them"):
            fresh = changed_on_disk(document)
            self._take_from_disk(document, fresh if fresh is not None else document.saved)

    def action_filter(self) -> None:
        self._show_pane_of("pane-list")
        self.query_one("#recipe-filter", Input).focus()

    def action_focus_yaml(self) -> None:
        self._show_pane_of("pane-yaml")
        self.set_focus(self.query_one(YamlArea))

    def action_focus_form(self) -> None:
        self._show_pane_of("pane-form")
        self.set_focus(self.query_one(RecipeForm))

    def action_focus_list(self) -> None:
        self._show_pane_of("pane-list")
        self.set_focus(self.query_one(RecipeList))

    def _show_pane_of(self, id_: str) -> None:
        self.show_only([pane for pane, _ in self.PANES].index(id_))

    def action_back(self) -> None:
        """From a field to its form, from the form or the text to the list."""
        focused = self.focused
        form = self.query_one(RecipeForm)
        if form.field is not None:
            form.take_back()
        elif isinstance(focused, Input) and focused.id == "recipe-filter" and focused.value:
            focused.value = ""
        else:
            self.action_focus_list()
