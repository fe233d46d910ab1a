"""The form, and below it what there is to know about the line at its cursor."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll

from engine.contract.recipe.recipe import Recipe
from engine.contract.recipe.yaml_reader import written
from medtui.client.recipe_document import Checked
from medtui.console.recipes.field_row import FieldRow, SectionLine
from medtui.console.recipes.form import RecipeForm
from medtui.console.shell.app_context import key_of
from medtui.console.shell.plain import Static
from medtui.text import clean


class FormPane(Vertical):
    def __init__(self, model: type[Recipe], id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.form = RecipeForm(model, id="form")

    def compose(self) -> ComposeResult:
        yield self.form
        with VerticalScroll(id="field-help"):
            yield Static(id="field-help-text")

    def show(self, checked: Checked, *, anew: bool) -> None:
        """`anew`: another recipe."""
        self.form.show(checked, anew=anew)
        self._show_help()

    def on_recipe_form_moved(self) -> None:
        self.query_one("#field-help").scroll_home(animate=False)
        self._show_help()

    def _show_help(self) -> None:
        self.query_one("#field-help-text", Static).update(self._help())

    def _help(self) -> Text:
        """What is wrong with a field is not here: that stands below the field."""
        line = self.form.line
        if isinstance(line, FieldRow):
            return field_help(line)
        assert isinstance(line, SectionLine)
        titles = ", ".join(row.spec.title for row in line.rows if not row.is_unread)
        words = f" Rarely used: {titles}. {key_of(self, 'form.fold')} " + (
            "folds them." if line.is_open else "shows them."
        )
        return Text.assemble((f"{line.title} ", "bold"), words)


def field_help(row: FieldRow) -> Text:
    """What a field is, what is expected, and all of a value that is cut in its line."""
    spec, text = row.spec, Text()
    text.append(f"{spec.path}  ", "bold")
    text.append(spec.help)
    text.append(f"  Expected {spec.expected}" + (f" ({spec.unit})" if spec.unit else "") + ".", "dim")
    text.append(f" Default {written(spec.default) if not isinstance(spec.default, str) else spec.default}.", "dim")
    if row.is_cut:
        text.append("  Now ", "dim").append(f"{clean(row.value, 400)}.", "bold")
    if row.note:
        text.append(f"  {clean(row.value, 80)}: {clean(row.note, 200)}.", "dim")
    return text
