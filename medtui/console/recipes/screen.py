"""Recipes: choose one, edit it as a form or as text, preview its run, start it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, TextArea

from engine.contract.recipe.recipe import Recipe
from engine.contract.wire.errors import MedtuiError, Problem
from medtui.client.recipe_document import Checked, check
from medtui.console.recipes import file_actions
from medtui.console.recipes.before_run import BeforeRun
from medtui.console.recipes.document import Document, Entry
from medtui.console.recipes.drafts import Drafts
from medtui.console.recipes.editing import Editing
from medtui.console.recipes.form import RecipeForm
from medtui.console.recipes.form_pane import FormPane
from medtui.console.recipes.open_recipes import OpenRecipes
from medtui.console.recipes.queue_action import add_to_queue
from medtui.console.recipes.recipe_list import RecipeList, RecipesPane
from medtui.console.recipes.store import changed_on_disk
from medtui.console.recipes.yaml_area import TextPane, YamlArea, line_of
from medtui.console.shell.app_context import AppContext, key_of
from medtui.console.shell.base import BaseScreen
from medtui.console.shell.keymap import bindings
from medtui.console.shell.opening import PANES
from medtui.console.shell.plain import OptionList, border_title
from medtui.console.shell.text_file import TooLarge
from medtui.sentences import RecipeActions
from medtui.settings import settings_file
from medtui.text import clean

SETTLE = 0.15  # seconds after the last key before the text is checked
POLL_DISK_EVERY = 2.0  # seconds
POLL_LIST_EVERY = 4.0  # seconds
SMALL = 32 * 1024  # characters that are checked at once; a larger text is checked by a worker

FileAction = Callable[[AppContext, OpenRecipes, Document], Awaitable[str | None]]


class CheckedText(Message):
    def __init__(self, checked: Checked) -> None:
        super().__init__()
        self.checked = checked


class Recipes(BaseScreen):
    SCREEN_NAME = "recipes"
    CSS_PATH = "styles.tcss"
    PANES = PANES
    BINDINGS: ClassVar[list[BindingType]] = bindings("recipes")

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.checked: Checked | None = None
        self._checked_entry: Entry | None = None  # whose text that is
        self.open_recipes = OpenRecipes(Drafts(settings_file().parent / "drafts"))
        self._open_next: Path | None = None
        self._unreadable: tuple[str, str] | None = None  # what is said of the recipe at the cursor, if it is not shown
        self._settle: Timer | None = None
        self._draft_timer: Timer | None = None

    def compose_body(self) -> ComposeResult:
        yield RecipesPane(self.open_recipes, id="pane-list")
        yield FormPane(self._app.recipe_model, id="pane-form")
        yield TextPane(id="pane-yaml")
        yield BeforeRun(id="pane-before")

    async def complete(self) -> None:
        await self.query_one(RecipeForm).fill()

    def set_up(self) -> None:
        area = self.query_one(YamlArea)
        area.read_only = self._app.readonly
        self.editing = Editing(area)
        self.query_one(RecipesPane).look()
        self.set_interval(POLL_DISK_EVERY, self._poll_disk)
        self.set_interval(POLL_LIST_EVERY, self._poll_list)
        self.query_one(RecipeList).focus()

    def on_screen_resume(self) -> None:
        if self.entries:
            self.query_one(RecipesPane).look()
            self.query_one(BeforeRun).look()

    @property
    def current(self) -> Document | None:
        """The document that form and text show."""
        return self.open_recipes.current

    # ---- the list --------------------------------------------------------------------------------------------------

    def _poll_list(self) -> None:
        if self.is_current:
            self.query_one(RecipesPane).look()

    def on_recipes_pane_listed(self, message: RecipesPane.Listed) -> None:
        if not self.alive:
            return
        self.query_one(RecipeForm).show_available(message.available)
        self.entries = message.found
        requested = self._open_next
        self._open_next = None
        if requested is not None:
            self.open_path(requested)
        elif self.current is None and self.entries:
            self._open(self.entries[0])
            self.query_one(RecipesPane).follow()

    @on(RecipesPane.Highlighted)
    def _highlighted(self, event: RecipesPane.Highlighted) -> None:
        if self.current is None or self.current.entry != event.entry:
            self._open(event.entry)
        else:
            self._unreadable = None

    @on(OptionList.OptionSelected, "#recipe-list")
    def _selected(self) -> None:
        self.action_focus_form()

    # ---- documents -------------------------------------------------------------------------------------------------

    def open_path(self, path: Path) -> None:
        """Show the recipe of a path; Results calls this."""
        entry = next((entry for entry in self.entries if entry.path == path), None)
        if entry is None and not self.entries:
            self._open_next = path
            return
        self._open(entry or Entry(path.parent.name, path, "run"))
        self.query_one(RecipesPane).follow()

    def _open(self, entry: Entry) -> None:
        try:
            document, restored = self.open_recipes.open(entry)
        except (OSError, UnicodeDecodeError, TooLarge) as error:
            self._unreadable = RecipeActions.UNREADABLE.text(path=entry.path, reason=_reason_of(error))
            self._app.show_toast(" ".join(self._unreadable), severity="error")
            return
        self._unreadable = None
        if restored:
            self._app.show_toast(f"Unsaved edits of {entry.name} were restored. {' '.join(document.notes)}")
        self.editing.load(document.text)
        self._show_title()
        self._check()
        self.query_one(RecipesPane).show()

    def _chosen(self) -> Document | None:
        """What an action is for: the recipe that is shown. Where the cursor is on one that cannot be, it says so."""
        if self._unreadable is not None:
            self._app.show_toast(" ".join(self._unreadable), severity="error")
            return None
        return self.current

    def _set_text(self, text: str) -> None:
        assert self.current is not None
        self.current.text = text
        self.query_one(RecipesPane).show()
        self._draft_later()

    @on(RecipeForm.Edited)
    def _form_edited(self, event: RecipeForm.Edited) -> None:
        if self.current is None or self._app.readonly:
            return
        self._take_typed()
        try:
            text = self.editing.set_field(self.current.text, event.spec, event.value, typing=event.typing)
        except MedtuiError as error:
            self._app.show_toast(f"The form cannot change this text: {error}", severity="warning")
            return
        self._set_text(text)
        self._check()

    @on(RecipeForm.Began)
    def _edit_began(self) -> None:
        self._take_typed()
        if self.current is not None:
            self.editing.begin(self.current.text)

    @on(RecipeForm.TakenBack)
    def _edit_taken_back(self) -> None:
        if self.current is not None and (text := self.editing.take_back()) is not None:
            self._set_text(text)
            self._check()

    @on(TextArea.Changed, "#yaml")
    def _text_edited(self) -> None:
        if self._take_typed():
            if self._settle is not None:
                self._settle.stop()
            self._settle = self.set_timer(SETTLE, self._check)

    def _take_typed(self) -> bool:
        """The editor's text is the recipe, even while its message is in the queue. True if it is new."""
        if self.current is None or (text := self.editing.take_typed()) is None:
            return False
        self._set_text(text)
        return True

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _tell_problems(self) -> None:
        """An error is told once: where the text is edited, else below its field."""
        if self.alive:
            self.query_one(RecipeForm).write_problems(not self.query_one(YamlArea).has_focus)

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

    def _check_in_worker(self, text: str, name: str) -> None:
        self.readings.start("check", lambda: CheckedText(check(text, name, self._app.recipe_model)))

    def on_checked_text(self, message: CheckedText) -> None:
        self._take(message.checked)

    def _take(self, checked: Checked) -> None:
        if self.current is None or checked.text != self.current.text:
            return
        anew = self._checked_entry != self.current.entry
        self.checked, self._checked_entry = checked, self.current.entry
        form = self.query_one(RecipeForm)
        without_field = tuple(problem for problem in checked.problems if not form.has_field(problem.path))
        self.query_one(FormPane).show(checked, anew=anew)
        self.query_one(TextPane).show_problems(checked.problems, without_field)
        self.query_one(BeforeRun).show(self.current, checked)

    # ---- files -----------------------------------------------------------------------------------------------------

    def _poll_disk(self) -> None:
        document = self.current
        if document is None or document.entry.kind == "run":
            return
        fresh = changed_on_disk(document)
        if fresh is None or fresh == document.fresh_on_disk:
            return
        if not document.dirty:
            self.open_recipes.take_from_disk(document, fresh)
            self._show_current()
            self._app.show_toast(f"{document.entry.name} changed on disk and was reloaded.")
            return
        document.fresh_on_disk = fresh
        self.query_one(BeforeRun).update_text()
        self._app.show_toast(f"{document.entry.name} changed on disk while you were editing it.", severity="warning")

    def _show_current(self) -> None:
        """Form and text, after something else than the user's typing changed the recipe that they show."""
        document = self.current
        if document is None or not self.alive:
            return
        self.editing.become(document.text)
        self._show_title()
        self._check()
        self.query_one(RecipesPane).show()

    def _show_title(self) -> None:
        if self.current is not None:
            border_title(self.query_one("#pane-yaml"), clean(self.current.entry.title, 100))

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
        if (recipe := self._valid_recipe("recipes.run")) is None:
            return
        try:
            self._app.start_run(recipe.model_dump(mode="json"))
        except MedtuiError as error:
            self._app.show_toast(str(error), severity="warning")

    @work
    async def action_queue(self) -> None:
        if (recipe := self._valid_recipe("recipes.queue")) is not None:
            await self.carry_out(lambda: add_to_queue(self._app, recipe))

    def _valid_recipe(self, id_: str) -> Recipe | None:
        """As it is typed now. What prevents the action `id_` is shown."""
        if self.checked is None or self._chosen() is None or self.current is None:
            return None
        self._take_typed()
        self._check()
        if self.checked.text != self.current.text:
            words = f"The recipe is still being checked; press {key_of(self, id_)} again."
            self._app.show_toast(words, severity="warning")
            return None
        if self.checked.recipe is None:
            self._app.show_toast("Correct the recipe first.", severity="warning")
            self._go_to(self.checked.problems[0])
        return self.checked.recipe

    def action_next_problem(self) -> None:
        """The next one after that at the cursor, else the first."""
        self._take_typed()
        self._check()
        problems = self.checked.problems if self.checked is not None else ()
        if not problems:
            self._app.show_toast("No errors.")
        else:
            here = [number for number, problem in enumerate(problems) if self._is_here(problem)]
            self._go_to(problems[(here[-1] + 1) % len(problems) if here else 0])

    def _is_here(self, problem: Problem) -> bool:
        form, area = self.query_one(RecipeForm), self.query_one(YamlArea)
        row = form.row if form.has_focus else None
        return (row is not None and (row.spec.section, row.spec.name) == problem.path) or (
            area.has_focus and area.line_number == line_of(problem)
        )

    def _go_to(self, problem: Problem) -> None:
        self.query_one(YamlArea).move_cursor((line_of(problem) - 1, 0))
        if len(problem.path) == 2 and self.query_one(RecipeForm).go_to(*problem.path):
            self.action_focus_form()
        else:
            self.action_focus_yaml()

    @work
    async def action_save(self) -> None:
        await self._do(file_actions.save)

    @work
    async def action_save_as(self) -> None:
        await self._do(file_actions.save_as)

    @work
    async def action_revert(self) -> None:
        await self._do(file_actions.revert)

    @work
    async def action_rename(self) -> None:
        await self._do(file_actions.rename)

    @work
    async def action_delete(self) -> None:
        await self._do(file_actions.delete)

    async def _do(self, action: FileAction) -> None:
        document = self._chosen()
        if document is None or self._app.readonly:
            return
        self._take_typed()
        try:
            done = await action(self._app, self.open_recipes, document)
        except OSError as error:
            where = clean(str(error.filename2 or error.filename or document.entry.path), 200)
            words = RecipeActions.CANNOT.text(path=where, reason=error.strerror or error)
            self._app.show_toast(" ".join(words), severity="error")
            return
        except MedtuiError as error:
            failed = isinstance(error.__cause__, OSError)
            self._app.show_toast(str(error), severity="error" if failed else "warning")
            return
        if done:
            self._app.show_toast(done)
        self._after_file_action(document)

    def _after_file_action(self, document: Document) -> None:
        """The recipe that is shown may have another name, or be another one; a deleted one gives way to the next."""
        if self.current is None:
            keys = [entry.key for entry in self.entries]
            at = keys.index(document.entry.key) if document.entry.key in keys else 0
            left = [entry for entry in self.entries if entry.key != document.entry.key]
            if left:
                self._open(left[min(at, len(left) - 1)])
        self._show_current()
        if self.current is not document:
            self.query_one(RecipesPane).follow()
        self.query_one(RecipesPane).look()

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
        elif isinstance(focused, VerticalScroll) and focused.id == "field-help":
            self.action_focus_form()
        else:
            self.action_focus_list()


def _reason_of(error: OSError | UnicodeDecodeError | TooLarge) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 text (byte {error.start + 1})"
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
