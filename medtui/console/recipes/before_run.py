"""The panel "before you run": what is wrong with the recipe, or what its run needs and takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message
from textual.timer import Timer

from medtui.client.recipe_document import Checked, check
from medtui.console.recipes.document import Document
from medtui.console.recipes.text import preflight_text
from medtui.console.shell.app_context import context_of
from medtui.console.shell.plain import Static
from medtui.console.shell.readings import Readings

if TYPE_CHECKING:
    from medtui.client.preflight import Preflight

PREFLIGHT_AFTER = 0.4  # seconds after the last change


class BeforeRun(VerticalScroll):
    class Ready(Message):
        """What a text's run needs and takes."""

        def __init__(self, text: str, found: Preflight) -> None:
            super().__init__()
            self.text, self.found = text, found

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="pane")
        self.preflight: Preflight | None = None
        self._text = ""  # that the preflight was for
        self._document: Document | None = None
        self._checked: Checked | None = None
        self._timer: Timer | None = None
        self._readings = Readings(self)

    def compose(self) -> ComposeResult:
        yield Static("loading …", id="before")

    def show(self, document: Document, checked: Checked) -> None:
        """A recipe as it is now; what its run needs follows."""
        if document is not self._document:
            self.preflight = None
        self._document, self._checked = document, checked
        self.update_text()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PREFLIGHT_AFTER, self.look)

    def look(self) -> None:
        """What the run needs, once more: data may have been fetched in the meantime."""
        checked = self._checked
        if checked is not None and checked.recipe is not None:
            self._readings.start("preflight", lambda: self._look(checked))

    def _look(self, checked: Checked) -> Ready:
        from medtui.client.preflight import preflight  # not before the first frame

        assert checked.recipe is not None
        context = context_of(self)
        found = preflight(checked.recipe, context.workspace, context.data, context.today())
        return self.Ready(checked.text, found)

    def on_before_run_ready(self, message: Ready) -> None:
        message.stop()
        if self._document is not None and message.text == self._document.text:
            self.preflight, self._text = message.found, message.text
            self.update_text()

    def update_text(self) -> None:
        if self._document is None or self._checked is None or not self.query("#before"):  # or it is being removed
            return
        words = preflight_text(
            self._document,
            self._checked,
            self.preflight if self._checked.recipe is not None else None,
            self._saved(self._document),
            stale=self._text != self._document.text,
            actions=context_of(self).actions,
        )
        self.query_one("#before", Static).update(words)

    def _saved(self, document: Document) -> Checked | None:
        """What its file says, where that is something else."""
        if not document.dirty:
            return None
        return check(document.saved, document.entry.path.name, context_of(self).recipe_model)
