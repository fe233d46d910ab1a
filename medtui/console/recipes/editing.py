"""One recipe in two views: what is changed in the form changes in the text, and nothing that is typed is lost."""

from __future__ import annotations

from textual.widgets import TextArea

from engine.contract.recipe.schema import FieldSpec
from medtui.client.recipe_document import with_field
from medtui.console.recipes.yaml_area import YamlArea


class Editing:
    """The editor's text, and what a field that is being typed into does to it."""

    def __init__(self, area: YamlArea) -> None:
        self.area = area
        self._shown = ""  # the text that the editor was given or has reported
        self._before: str | None = None  # the text when a field was opened
        self._typing = False  # was the last change typed into that field?

    def load(self, text: str) -> None:
        """Another recipe: nothing of the former can be undone."""
        with self.area.prevent(TextArea.Changed):  # that counts as typed
            self.area.load_text(text)
        self._shown = self.area.text

    def become(self, text: str, *, instead: bool = False) -> None:
        """`instead`: one undo reverts this and the previous change."""
        with self.area.prevent(TextArea.Changed):
            self.area.become(text, instead=instead)
        self._shown = self.area.text

    def take_typed(self) -> str | None:
        """The editor's text, even while its message is in the queue; None if it was taken already."""
        text = self.area.text
        if text == self._shown:
            return None
        self._shown = text
        return text

    def begin(self, text: str) -> None:
        """A field of the form is opened."""
        self._before, self._typing = text, False

    def set_field(self, text: str, spec: FieldSpec, value: str, *, typing: bool) -> str:
        """The text with a field's value; what is typed into one field is one change. Raises RecipeError."""
        text = with_field(text, spec.section, spec.name, value)
        self.become(text, instead=typing and self._typing)
        self._typing = typing
        return text

    def take_back(self) -> str | None:
        """The text as it was when the field was opened; None where none was."""
        if self._before is not None:
            self.become(self._before, instead=self._typing)
            self._typing = False
        return self._before
